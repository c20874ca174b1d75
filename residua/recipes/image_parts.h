#pragma once
// What an experiment on images needs beside its options.

#include "residua/data/loader.h"
#include "residua/recipes/experiment.h"

namespace residua {

// A model for these data: where it has the options num_classes, in_channels and image_size and they
// are not given, they are the data's; `image_size` 0: of no single size. Throws
// ErrorKind::invalid_argument when the numbers given do not fit the data.
Component fit_model(const Component& model, const DatasetInfo& data, int64_t image_size);

// Sets a model's option, where it has it, to the data's value; a value that was given must be that
// one. `all` are the model's resolved options, `what` of the data it must fit.
void fit_option(Json& options, const Json& all, const std::string& key, int64_t value,
                const std::string& what);

// Height and width of the images that the data's preparation gives; 0 where they differ.
int64_t input_size(const DatasetInfo& data, const AugmentOptions& augment);

// The loader of test images, as training and evaluation use it.
std::shared_ptr<Loader> make_test_loader(const TrainOptions& options,
                                         std::shared_ptr<const Dataset> test);

// For checkpoints: what prediction needs to know of the data.
Json to_json(const DatasetInfo& info);
DatasetInfo dataset_info_from_json(const Json& json);

DataParts image_parts(const TrainOptions& options, const DataSplits& data);
ReviewParts image_review(const DataSplits& data);

}  // namespace residua
