#include "model_list.h"

#include <torch/torch.h>

#include <algorithm>
#include <cctype>

namespace residua {

std::string TinyModel::label() const {
  std::string text = component.name + component.options_or_empty().dump();
  std::erase_if(text, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return text;
}

at::Tensor TinyModel::inputs(int64_t batch) const {
  torch::manual_seed(7);
  if (length > 0) return torch::randint(0, 11, {batch, length}, at::kLong);
  return torch::randn({batch, 3, size, size});
}

TinyModel TinyModel::with(const std::string& key, Json value) const {
  TinyModel changed = *this;
  Json options = component.options_or_empty();
  options[key] = std::move(value);
  changed.component = Component(component.name, options);
  return changed;
}

namespace {

std::vector<TinyModel> tiny_transformers() {
  std::vector<TinyModel> list;
  const Json small{{"image_size", 16}, {"patch", 8}, {"dim", 12}, {"depth", 2}, {"heads", 3}};
  for (const char* name :
       {"vit", "vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224",
        "vit_small_patch16_36x1_224", "vit_small_patch16_18x2_224", "vit_base_patch16_18x2_224"})
    list.push_back({{name, small}, 16});
  const TinyModel vit = list.front();
  list.push_back(vit.with("pool", "avg"));
  list.push_back(vit.with("layer_scale", 0.1));
  list.push_back(vit.with("qkv_bias", false));
  list.push_back(vit.with("stem", "hmlp"));
  list.push_back(vit.with("branches", 2).with("connection", {{"name", "parallel"}}));
  const Json wide{{"dim", 8}, {"depth", 2}, {"heads", 2}, {"experts", 2}, {"capacity_factor", 0}};
  Json wide_image = wide;
  wide_image.update({{"image_size", 16}, {"patch", 8}, {"num_classes", 10}});
  for (const char* name : {"widenet", "widenet_base", "widenet_large", "widenet_huge"})
    list.push_back({{name, wide_image}, 16});
  for (const char* share : {"attn", "moe", "none"})
    list.push_back(TinyModel{{"widenet", wide_image}, 16}.with("share", share));
  list.push_back(TinyModel{{"widenet", wide_image}, 16}.with("norms", "shared"));
  const Json mini{{"vocab_size", 11}, {"ctx", 6}, {"dim", 12}, {"depth", 2}, {"heads", 3}};
  for (const char* name : {"gpt", "gpt2"}) list.push_back({.component = {name, mini}, .length = 6});
  const TinyModel gpt = list.back();
  list.push_back(gpt.with("tied", false));
  list.push_back(gpt.with("bias", false));
  list.push_back(gpt.with("norm", "rms"));
  list.push_back(gpt.with("positions", "rotary"));
  list.push_back(gpt.with("mlp", "swiglu"));
  list.push_back(gpt.with("kv_heads", 1));
  for (const char* variant : {"learnable", "learnable_plus", "dense"})
    list.push_back(
        gpt.with("depth", 3).with("connection", {{"name", "resformer"}, {"variant", variant}}));
  list.push_back(gpt.with("connection", {{"name", "svformer"}, {"share_keys", 2}}));
  list.push_back(gpt.with("connection", {{"name", "loop"}, {"scale", "learned"}, {"loops", 3}}));
  list.push_back(vit.with("connection", {{"name", "loop"}, {"loop_embedding", true}}));
  Json wide_text = wide;
  wide_text.update({{"vocab_size", 11}, {"ctx", 6}, {"embedding", 5}});
  list.push_back({.component = {"widenet_lm", wide_text}, .length = 6});
  for (const TinyModel& base : {vit, gpt}) {
    for (const char* name : {"parallel", "ladder", "desync"})
      list.push_back(base.with("connection", name));
    list.push_back(base.with("connection", {{"name", "hyper"}, {"dynamic", false}}));
    list.push_back(base.with("connection", "hyper"));
    list.back().dead_start = true;  // factors of dynamic parts that are zero
    for (const char* name : {"resformer", "svformer", "neutreno", "denseformer"})
      list.push_back(base.with("connection", name));
    list.push_back(base.with("connection", "none"));
    list.push_back(base.with("connection", {{"name", "scaled"}, {"learned", true}}));
  }
  return list;
}

}  // namespace

std::vector<TinyModel> tiny_models() {
  std::vector<TinyModel> list;
  for (const char* name :
       {"resnet_cifar", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202"})
    list.push_back({{name, {{"n", 1}, {"width", 4}}}, 16});
  const TinyModel cifar = list.front();
  for (const char* name : {"resnet18", "resnet34"})
    list.push_back({{name, {{"layers", {2, 1, 1, 1}}, {"width", 8}}}, 64});
  for (const char* name :
       {"resnet50", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2"})
    list.push_back({{name, {{"layers", {2, 1, 1, 1}}, {"width", 16}}}, 64});
  const TinyModel basic{{"resnet18", {{"layers", {1, 2}}, {"width", 8}}}, 32};
  const TinyModel bottleneck{{"resnet50", {{"layers", {1, 2}}, {"width", 8}}}, 32};
  for (const TinyModel& base : {cifar, basic, bottleneck}) {
    for (const char* shortcut : {"A", "B", "C"}) list.push_back(base.with("shortcut", shortcut));
    list.push_back(base.with("connection", "none"));
    list.push_back(base.with("init", "he_fan_in"));
    list.push_back(base.with("zero_init_residual", true));
    list.back().dead_start = true;
  }
  list.push_back(bottleneck.with("stride_in_1x1", true));
  for (const TinyModel& base : {cifar, bottleneck})
    for (const char* shortcut : {"A", "B", "C"})
      list.push_back(base.with("order", "pre").with("shortcut", shortcut));
  const TinyModel mlp{{"mlp", {{"in_channels", 3}, {"width", 8}, {"image_size", 8}}}, 8};
  list.push_back(mlp);
  for (const char* act : {"gelu", "silu", "tanh"}) list.push_back(mlp.with("act", act));
  for (const TinyModel& base : {cifar, mlp})
    list.push_back(base.with("connection", {{"name", "scaled"}, {"learned", true}}));
  list.push_back(mlp.with("depth", 4).with("connection", {{"name", "ode"}, {"share", 2}}));
  list.push_back(mlp.with(
      "connection",
      {{"name", "ode"}, {"method", "dopri5"}, {"share", 4}, {"adjoint", true}, {"time", "added"}}));
  list.push_back(cifar.with("n", 3)
                     .with("order", "pre")
                     .with("connection", {{"name", "ode"}, {"share", 2}, {"method", "rk4"}}));
  list.push_back({{"vit",
                   {{"image_size", 8},
                    {"dim", 8},
                    {"depth", 3},
                    {"heads", 2},
                    {"connection", {{"name", "ode"}, {"share", 2}, {"method", "midpoint"}}}}},
                  8});
  list.push_back({{"odenet_resnet", {{"width", 8}, {"blocks", 2}, {"in_channels", 3}}}, 12});
  list.push_back({{"odenet", {{"width", 8}, {"in_channels", 3}}}, 12});
  list.push_back(list.back().with("method", "rk4").with("adjoint", false));
  for (TinyModel& model : tiny_transformers()) list.push_back(std::move(model));
  for (const TinyModel& base : {cifar, bottleneck, mlp}) {
    const bool images = base.component.name != "mlp";
    list.push_back(base.with("norm", false));
    list.push_back(base.with("connection", "fixup"));
    list.back().dead_start = true;
    list.push_back(base.with("connection", {{"name", "orthonormal"}, {"watch", true}}));
    list.push_back(base.with(
        "connection",
        {{"name", "orthonormal"}, {"shortcut", true}, {"modulation", "always"}, {"decay", 0.5}}));
    TinyModel free = images ? base.with("order", "pre").with("shortcut", "B") : base;
    list.push_back(free.with("connection", "nf"));
    list.push_back(free.with("connection", {{"name", "nf"}, {"weight_standard", false}}));
    list.push_back(free.with("connection", {{"name", "nf"}, {"skipinit", true}}));
    list.back().dead_start = true;
    if (!images) continue;
    list.push_back(base.with("order", "pre").with("connection", "fixup"));
    list.back().dead_start = true;
  }
  for (const char* name :
       {"fixup_resnet_cifar", "fixup_resnet20", "fixup_resnet32", "fixup_resnet44",
        "fixup_resnet56", "fixup_resnet110", "fixup_resnet1202"})
    list.push_back({{name, {{"n", 1}, {"width", 4}}}, 16, /*dead_start=*/true});
  for (const char* name :
       {"fixup_resnet18", "fixup_resnet34", "fixup_resnet50", "fixup_resnet101", "fixup_resnet152"})
    list.push_back({{name, {{"layers", {2, 1}}, {"width", 8}}}, 32, /*dead_start=*/true});
  for (const char* name : {"nf_resnet26", "nf_resnet50", "nf_resnet101"})
    list.push_back({{name, {{"depths", {2, 1}}, {"channels", {32, 64}}, {"width_factor", 0.5}}},
                    32,
                    /*dead_start=*/true});
  for (const char* name : {"nf_regnet_b0", "nf_regnet_b1", "nf_regnet_b2", "nf_regnet_b3",
                           "nf_regnet_b4", "nf_regnet_b5"})
    list.push_back({{name, {{"depths", {2, 1}}, {"channels", {32, 64}}, {"width_factor", 0.25}}},
                    32,
                    /*dead_start=*/true});
  for (const char* name : {"dm_nfnet_f0", "dm_nfnet_f1", "dm_nfnet_f2", "dm_nfnet_f3",
                           "dm_nfnet_f4", "dm_nfnet_f5", "dm_nfnet_f6"})
    list.push_back({{name,
                     {{"depths", {1, 2}},
                      {"channels", {128, 256}},
                      {"width_factor", 0.125},
                      {"group_size", 8}}},
                    32,
                    /*dead_start=*/true});
  return list;
}

}  // namespace residua
