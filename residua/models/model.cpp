#include "residua/models/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/models/tabular/mlp.h"
#include "residua/models/vision/odenet.h"
#include "residua/models/vision/resnet.h"
#include "residua/models/vision/resnet_cifar.h"

namespace residua {

namespace {

std::string sizes_text(const ModelInfo& i) {
  if (i.max_input == 0) return fmt::format("H and W at least {}", i.min_input);
  if (i.min_input == i.max_input) return fmt::format("H = W = {}", i.min_input);
  return fmt::format("H and W from {} to {}", i.min_input, i.max_input);
}

}  // namespace

void Model::check_input(const at::Tensor& x) const {
  const ModelInfo& i = info_;
  const auto size_fits = [&](int64_t size) {
    return size >= i.min_input && (i.max_input == 0 || size <= i.max_input);
  };
  const bool fits = x.defined() && x.is_floating_point() && x.dim() == 4 &&
                    x.size(1) == i.in_channels && size_fits(x.size(2)) && size_fits(x.size(3));
  if (fits) return;
  throw Error(ErrorKind::shape,
              {.where = "input",
               .rule = "does not fit the model",
               .expected = fmt::format("floating-point images [N, {}, H, W] with {}", i.in_channels,
                                       sizes_text(i)),
               .received = x.defined() ? fmt::format("{} [{}]", c10::toString(x.scalar_type()),
                                                     fmt::join(x.sizes(), ", "))
                                       : std::string("nothing")});
}

Extras Model::extras(const at::Tensor&) { return {}; }

Registry<Model, Random>& models() {
  static Registry<Model, Random> registry = [] {
    Registry<Model, Random> r("model");
    add_resnets(r);
    add_cifar_resnets(r);
    add_mlps(r);
    add_odenets(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
