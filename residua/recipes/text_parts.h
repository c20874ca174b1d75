#pragma once
// What an experiment on text needs beside its options.

#include "residua/data/text/corpus.h"
#include "residua/recipes/experiment.h"

namespace residua {

// A language model's option vocab_size, where it is not given, is the tokenizer's. Throws
// ErrorKind::invalid_argument for a model that reads images, and for settings of images (augment).
DataParts text_parts(const TrainOptions& options, std::shared_ptr<const TextCorpus> corpus);

// Lets the model write on from the validation text after each evaluation.
ReviewParts text_review(std::shared_ptr<Model> model, std::shared_ptr<const TextCorpus> corpus);

// The validation text, as training and evaluation use it; `context` is the model's.
std::shared_ptr<BatchSource> make_test_windows(const TrainOptions& options,
                                               std::shared_ptr<const TextCorpus> corpus,
                                               int64_t context);

// The tokenizer of what a run stored of its data. Throws ErrorKind::unsupported when those were no
// text.
std::shared_ptr<const Tokenizer> stored_tokenizer(const Json& data_info);

}  // namespace residua
