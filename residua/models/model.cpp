#include "residua/models/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/models/language/gpt.h"
#include "residua/models/language/widenet_lm.h"
#include "residua/models/tabular/mlp.h"
#include "residua/models/vision/fixup_resnet.h"
#include "residua/models/vision/nfnet.h"
#include "residua/models/vision/odenet.h"
#include "residua/models/vision/resnet.h"
#include "residua/models/vision/resnet_cifar.h"
#include "residua/models/vision/vit.h"
#include "residua/models/vision/widenet.h"
#include "residua/nn/tracing.h"

namespace residua {

namespace {

std::string sizes_text(const ModelInfo& i) {
  if (i.max_input == 0) return fmt::format("H and W at least {}", i.min_input);
  if (i.min_input == i.max_input) return fmt::format("H = W = {}", i.min_input);
  return fmt::format("H and W from {} to {}", i.min_input, i.max_input);
}

std::string tensor_text(const at::Tensor& x) {
  return x.defined()
             ? fmt::format("{} [{}]", c10::toString(x.scalar_type()), fmt::join(x.sizes(), ", "))
             : std::string("nothing");
}

}  // namespace

void Model::check_ids(const at::Tensor& ids) const {
  const bool fits = ids.defined() && ids.scalar_type() == at::kLong && ids.dim() == 2 &&
                    ids.size(0) > 0 && ids.size(1) >= 1 && ids.size(1) <= info_.context;
  if (!fits)
    throw Error(ErrorKind::shape,
                {.where = "input",
                 .rule = "does not fit the model",
                 .expected = fmt::format("ids Long [N, T] with T from 1 to {}", info_.context),
                 .received = tensor_text(ids)});
  if (is_tracing()) return;
  const auto [low, high] = at::aminmax(ids);
  const int64_t least = low.item<int64_t>(), greatest = high.item<int64_t>();
  if (least < 0 || greatest >= info_.vocabulary)
    throw Error(ErrorKind::invalid_argument,
                {.where = "input",
                 .rule = "holds an id that is not in the vocabulary",
                 .expected = fmt::format("0 to {}", info_.vocabulary - 1),
                 .received = std::to_string(least < 0 ? least : greatest)});
}

void Model::check_input(const at::Tensor& x) const {
  const ModelInfo& i = info_;
  if (i.takes_tokens()) return check_ids(x);
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
               .received = tensor_text(x)});
}

bool Model::adopt(const std::string&, const at::Tensor&) { return false; }

Extras Model::extras(const at::Tensor&) { return {}; }

std::vector<Exit> Model::exits() { return {}; }

Registry<Model, Random>& models() {
  static Registry<Model, Random> registry = [] {
    Registry<Model, Random> r("model");
    add_resnets(r);
    add_cifar_resnets(r);
    add_vits(r);
    add_mlps(r);
    add_gpts(r);
    add_widenets(r);
    add_widenet_lms(r);
    add_fixup_resnets(r);
    add_nfnets(r);
    add_odenets(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
