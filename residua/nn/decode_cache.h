#pragma once
// What a model that reads tokens one after the other remembers of those it has read; a plain value.

#include <ATen/core/Tensor.h>

#include <vector>

namespace residua {

struct DecodeCache {
  int64_t length = 0;                    // tokens read
  std::vector<at::Tensor> tensors = {};  // the model's own, dimension 0 the batch; undefined: none

  // The tensor at `place` with `rows` appended along dimension `dim`; it is kept.
  const at::Tensor& append(int64_t place, const at::Tensor& rows, int64_t dim);
  const at::Tensor& at(int64_t place) const { return tensors[static_cast<size_t>(place)]; }
  // Forgets all but the first `count` tokens, which lie along dimension `dim`.
  void truncate(int64_t count, int64_t dim);
  int64_t bytes() const;
};

}  // namespace residua
