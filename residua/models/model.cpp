#include "residua/models/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/models/vision/resnet.h"
#include "residua/models/vision/resnet_cifar.h"

namespace residua {

void Model::check_input(const at::Tensor& x) const {
  const ModelInfo& i = info_;
  const bool fits = x.defined() && x.is_floating_point() && x.dim() == 4 &&
                    x.size(1) == i.in_channels && x.size(2) >= i.min_input &&
                    x.size(3) >= i.min_input;
  if (fits) return;
  throw Error(
      ErrorKind::shape,
      {.where = "input",
       .rule = "does not fit the model",
       .expected = fmt::format("floating-point images [N, {}, H, W] with H and W at least {}",
                               i.in_channels, i.min_input),
       .received = x.defined() ? fmt::format("{} [{}]", c10::toString(x.scalar_type()),
                                             fmt::join(x.sizes(), ", "))
                               : std::string("nothing")});
}

Registry<Model, Random>& models() {
  static Registry<Model, Random> registry = [] {
    Registry<Model, Random> r("model");
    add_resnets(r);
    add_cifar_resnets(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
