#include "residua/connections/low_rank.h"

#include <torch/torch.h>

#include "residua/nn/conv.h"
#include "residua/nn/init.h"
#include "residua/nn/linear.h"

namespace residua {

namespace {

template <class Layer>
class LayerMap final : public ChannelMap {
 public:
  explicit LayerMap(std::shared_ptr<Layer> layer) : layer_(std::move(layer)) {}
  at::Tensor operator()(const at::Tensor& x) const override { return layer_->forward(x); }
  at::Tensor matrix() const override {
    const at::Tensor weight = layer_->weight.detach();
    return weight.view({weight.size(0), weight.size(1)});
  }

 private:
  std::shared_ptr<Layer> layer_;
};

}  // namespace

std::shared_ptr<ChannelMap> channel_map(torch::nn::Module& owner, const char* name,
                                        CarrierKind kind, int64_t in, int64_t out,
                                        const Random& random) {
  if (kind == CarrierKind::cnn)
    return std::make_shared<LayerMap<Conv2d>>(owner.register_module(
        name, conv2d(in, out, 1, {.init = WeightInit::he_fan_in}, random.split(name))));
  return std::make_shared<LayerMap<Linear>>(
      owner.register_module(name, linear(in, out, {.bias = false}, random.split(name))));
}

void fill_orthonormal_columns(const at::Tensor& matrix, const Random& random) {
  const at::Tensor normal = at::zeros(matrix.sizes(), at::kDouble);
  fill_normal(normal, 1, random);
  const at::NoGradGuard no_grad;
  matrix.copy_(std::get<0>(at::linalg_qr(normal)));
}

}  // namespace residua
