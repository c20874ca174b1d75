#include "model_list.h"

#include <algorithm>
#include <cctype>

namespace residua {

std::string TinyModel::label() const {
  std::string text = component.name + component.options_or_empty().dump();
  std::erase_if(text, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return text;
}

TinyModel TinyModel::with(const std::string& key, Json value) const {
  TinyModel changed = *this;
  Json options = component.options_or_empty();
  options[key] = std::move(value);
  changed.component = Component(component.name, options);
  return changed;
}

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
  list.push_back(mlp.with("norm", false));
  for (const TinyModel& base : {cifar, mlp})
    list.push_back(base.with("connection", {{"name", "scaled"}, {"learned", true}}));
  list.push_back(mlp.with("depth", 4).with("connection", {{"name", "ode"}, {"share", 2}}));
  list.push_back(mlp.with(
      "connection",
      {{"name", "ode"}, {"method", "dopri5"}, {"share", 4}, {"adjoint", true}, {"time", "added"}}));
  list.push_back(cifar.with("n", 3)
                     .with("order", "pre")
                     .with("connection", {{"name", "ode"}, {"share", 2}, {"method", "rk4"}}));
  list.push_back({{"odenet_resnet", {{"width", 8}, {"blocks", 2}, {"in_channels", 3}}}, 12});
  list.push_back({{"odenet", {{"width", 8}, {"in_channels", 3}}}, 12});
  list.push_back(list.back().with("method", "rk4").with("adjoint", false));
  return list;
}

}  // namespace residua
