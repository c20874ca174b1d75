#include "residua/nn/embedding.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/nn/init.h"
#include "residua/nn/observe.h"

namespace residua {

Embedding::Embedding(int64_t count, int64_t size, double stddev, const Random& random)
    : torch::nn::Module("Embedding") {
  weight = register_parameter("weight", torch::empty({count, size}));
  fill_normal(weight.detach(), stddev, random.split("weight"));
}

at::Tensor Embedding::forward(const at::Tensor& ids) const {
  at::Tensor y = at::embedding(weight, ids);
  observe(*this, ids, y);
  return y;
}

void Embedding::pretty_print(std::ostream& stream) const {
  stream << fmt::format("Embedding({} x {})", weight.size(0), weight.size(1));
}

}  // namespace residua
