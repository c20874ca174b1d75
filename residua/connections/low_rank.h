#pragma once
// A linear map of the channels of a stream, and its low-rank form x -> A B x.

#include <torch/nn/module.h>

#include <memory>

#include "residua/connections/site.h"
#include "residua/core/random.h"

namespace residua {

// y = W x over the channels, without bias: a matrix on vectors and tokens, a 1x1 convolution on
// maps. Parameter: weight [out, in], on maps [out, in, 1, 1].
class ChannelMap {
 public:
  virtual ~ChannelMap() = default;
  virtual at::Tensor operator()(const at::Tensor& x) const = 0;
  // The weight as a matrix [out, in] that shares its memory.
  virtual at::Tensor matrix() const = 0;
};

// Registered at `owner` under `name`, with random weights.
std::shared_ptr<ChannelMap> channel_map(torch::nn::Module& owner, const char* name,
                                        CarrierKind kind, int64_t in, int64_t out,
                                        const Random& random);

// Fills a matrix [rows, columns], rows >= columns, with random orthonormal columns.
void fill_orthonormal_columns(const at::Tensor& matrix, const Random& random);

}  // namespace residua
