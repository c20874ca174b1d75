#pragma once
// What models that read tokens can do beside Model's forward: their parts one by one, for lenses,
// prompts and stitching, and writing on.
//
//   auto& tokens = token_model(*model);
//   at::Tensor text = generate(*model, prompt, {.tokens = 100, .temperature = 0.8}, Random(1));

#include <ATen/core/Tensor.h>

#include "residua/models/model.h"
#include "residua/nn/decode_cache.h"

namespace residua {

class TokenModel {
 public:
  virtual ~TokenModel() = default;

  // Ids [N, T], of which the first stands at position `offset`, to the first stream [N, T, dim].
  virtual at::Tensor embed(const at::Tensor& ids, int64_t offset = 0) = 0;
  // From the first stream to the last one. With a cache the tokens follow those that were read into
  // it, and are read into it; without gradient. Throws ErrorKind::unsupported where !decodes().
  virtual at::Tensor run_embeddings(const at::Tensor& x, DecodeCache* cache = nullptr) = 0;
  // A stream [..., dim] to logits [..., vocabulary], the last normalisation included.
  virtual at::Tensor unembed(const at::Tensor& stream) = 0;
  // Whether it can go on from a cache.
  virtual bool decodes() const = 0;

  // Logits of tokens that follow those in the cache.
  at::Tensor decode(const at::Tensor& ids, DecodeCache& cache);
};

// Throws ErrorKind::unsupported when the model does not read tokens.
TokenModel& token_model(Model& model);

struct GenerateOptions {
  int64_t tokens = 100;
  double temperature = 1;  // of the softmax; 0: always the likeliest token
  int64_t top_k = 0;       // only of the k likeliest tokens; 0: of all
};

// The prompt [N, P] (P at least 1) continued: [N, P + tokens]. Once the text is longer than the
// model's context, each token is drawn given the last `context` ones. In evaluation mode.
at::Tensor generate(Model& model, const at::Tensor& prompt, const GenerateOptions& options,
                    Random random);

}  // namespace residua
