#include "residua/nn/decode_cache.h"

#include <torch/torch.h>

namespace residua {

const at::Tensor& DecodeCache::append(int64_t place, const at::Tensor& rows, int64_t dim) {
  const auto i = static_cast<size_t>(place);
  if (tensors.size() <= i) tensors.resize(i + 1);
  tensors[i] = tensors[i].defined() ? at::cat({tensors[i], rows}, dim) : rows.contiguous();
  return tensors[i];
}

void DecodeCache::truncate(int64_t count, int64_t dim) {
  for (at::Tensor& t : tensors)
    if (t.defined()) t = t.narrow(dim, 0, count);
  length = count;
}

int64_t DecodeCache::bytes() const {
  int64_t sum = 0;
  for (const at::Tensor& t : tensors)
    if (t.defined()) sum += static_cast<int64_t>(t.nbytes());
  return sum;
}

}  // namespace residua
