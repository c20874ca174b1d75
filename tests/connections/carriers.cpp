#include "carriers.h"

#include <torch/torch.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "residua/models/vision/staged_resnet.h"
#include "residua/nn/state.h"

namespace residua {

at::Tensor TinyCarrier::input(int64_t batch, uint64_t seed) const {
  torch::manual_seed(seed);
  if (channels == 0) return torch::randint(5, {batch, size}, torch::kLong);
  return torch::randn({batch, channels, size, size});
}

std::shared_ptr<StreamModel> TinyCarrier::make(const Component& connection, uint64_t seed) const {
  Json options = model.options_or_empty();
  options["connection"] = connection.options_or_empty();
  options["connection"]["name"] = connection.name;
  const auto made = models().create({model.name, options}, Random(seed));
  return std::dynamic_pointer_cast<StreamModel>(made);
}

std::vector<TinyCarrier> tiny_carriers() {
  const Json cifar{{"n", 2}, {"width", 8}, {"num_classes", 5}};
  const auto with = [](Json options, const Json& more) {
    options.update(more);
    return options;
  };
  return {
      {"cifar", {"resnet_cifar", cifar}},
      {"cifar_b", {"resnet_cifar", with(cifar, {{"shortcut", "B"}})}},
      {"cifar_pre", {"resnet_cifar", with(cifar, {{"shortcut", "B"}, {"order", "pre"}})}},
      {"resnet", {"resnet50", {{"layers", {1, 2}}, {"width", 4}, {"num_classes", 5}}}, 3, 32},
      {"mlp",
       {"mlp",
        {{"depth", 4}, {"width", 16}, {"in_channels", 3}, {"image_size", 4}, {"num_classes", 5}}},
       3,
       4},
      {"vit",
       {"vit",
        {{"image_size", 8},
         {"patch", 4},
         {"dim", 16},
         {"depth", 2},
         {"heads", 2},
         {"num_classes", 5}}},
       3,
       8},
      {"gpt",
       {"gpt", {{"dim", 16}, {"depth", 2}, {"heads", 2}, {"ctx", 6}, {"vocab_size", 5}}},
       0,
       6},
  };
}

const TinyCarrier& tiny_carrier(const std::string& label) {
  static const std::vector<TinyCarrier> carriers = tiny_carriers();
  const auto found = std::ranges::find(carriers, label, &TinyCarrier::label);
  if (found == carriers.end()) throw std::out_of_range(label);
  return *found;
}

std::vector<at::Tensor> stream_trace(StreamModel& model, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> streams;
  model.eval();
  model.visit_sites([&](const Site&, const State& state) { streams.push_back(state.x()); });
  model.forward(x);
  model.visit_sites({});
  return streams;
}

State last_state(StreamModel& model, const at::Tensor& x) {
  State last;
  model.visit_sites([&](const Site&, const State& state) { last = state; });
  model.forward(x);
  model.visit_sites({});
  return last;
}

void copy_weights(const torch::nn::Module& from, torch::nn::Module& to) {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> values;
  for (const auto& [name, tensor] : state_dict(from)) values[name] = tensor;
  for (const auto& [name, tensor] : state_dict(to))
    if (values.contains(name)) tensor.detach().copy_(values[name]);
}

std::vector<std::shared_ptr<ResidualBlock>> blocks_of(const StreamModel& model) {
  std::vector<std::shared_ptr<ResidualBlock>> blocks;
  for (const auto& stage : dynamic_cast<const StagedResNet&>(model).stages())
    blocks.insert(blocks.end(), stage->blocks().begin(), stage->blocks().end());
  return blocks;
}

std::string TinyConnection::label() const {
  std::string text = component.name;
  const Json options = component.options_or_empty();
  for (const auto& [key, value] : options.items()) text += "_" + key + "_" + value.dump();
  std::ranges::replace(text, '+', 'n');
  std::ranges::replace(text, '-', '_');
  std::ranges::replace(text, '.', 'p');
  std::erase_if(
      text, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_'; });
  return text;
}

namespace {

// Variants beside the defaults, by name.
std::multimap<std::string, Json> connection_variants() {
  std::multimap<std::string, Json> variants = {
      {"scaled", {{"learned", true}, {"scale", 0.5}}},
      {"scaled", {{"scale", 0.5}}},
      {"stochastic-depth", {{"mode", "row"}}},
      {"stochastic-depth", {{"mode", "row"}, {"scale", "inverted"}}},
      {"stochastic-depth", {{"scale", "inverted"}, {"rule", "uniform"}, {"survival", 0.8}}},
      {"laurel", {{"norm", "sigmoid"}}},
      {"laurel", {{"norm", "softmax"}, {"per", "block"}}},
      {"laurel", {{"variant", "rw+lr+pa"}, {"rank", 3}}},
      {"laurel", {{"variant", "pa"}, {"mix", "identity"}, {"history", 2}}},
      {"skipnet", {{"gate", "linear"}}},
      {"skipnet", {{"gate", "ff1"}}},
      {"skipnet", {{"gate", "ff2"}, {"rows", false}}},
      {"skipnet", {{"training", "soft"}}},
      {"skipnet", {{"training", "soft"}, {"gate", "linear"}}},
      {"skipnet", {{"training", "rl"}, {"baseline", true}}},
      {"attention", {{"kind", "eca"}}},
      {"attention", {{"kind", "cbam"}}},
      {"attention", {{"kind", "srm"}}},
      {"nf", {{"skipinit", true}}},
      {"nf", {{"weight_standard", false}}},
      {"orthonormal", {{"shortcut", true}, {"modulation", "always"}}},
      {"stepnet", {{"difference", true}, {"refine", true}}},
      {"ode", {{"method", "rk4"}}},
      {"ode", {{"method", "dopri5"}}},
      {"hyper", {{"streams", 2}, {"dynamic", false}}},
      {"hyper", {{"streams", 3}, {"norm", "rms"}, {"tanh", false}}},
      {"hyper", {{"streams", 2}, {"preset", "parallel"}, {"learn", "depth"}}},
      {"parallel", {{"k", 3}, {"kinds", "mixed"}}},
      {"parallel", {{"drop_path", 0.3}}},
      {"ladder", {{"last", 1}}},
      {"resformer", {{"variant", "constant"}, {"lambda1", 2.0}}},
      {"resformer", {{"variant", "learnable"}}},
      {"resformer", {{"variant", "learnable_plus"}}},
      {"resformer", {{"variant", "sparse"}, {"layers", {2}}}},
      {"resformer", {{"variant", "dense"}}},
      {"svformer", {{"share_keys", 2}}},
      {"loop", {{"last", 2}, {"scale", "learned"}, {"loop_embedding", true}}},
      {"loop", {{"last", 1}, {"loops", 3}, {"output", "delta"}, {"scale", "mean"}}},
      {"loop", {{"last", 2}, {"loops", 4}, {"input_injection", true}, {"eval_loops", 2}}},
      {"loop", {{"last", 2}, {"loops", 3}, {"tolerance", 0.2}}},
  };
  for (const char* variant : {"rw", "lr", "pa", "gemma"})
    variants.insert({"laurel", {{"variant", variant}}});
  return variants;
}

TinyConnection described(const Component& component) {
  const Json options = component.options_or_empty();
  TinyConnection c{.component = component};
  if (component.name == "orthonormal") c.differentiable = !options.contains("modulation");
  // The step sizes of an adaptive solver come from the whole batch and jump with its weights.
  if (component.name == "ode" && options.value("method", "") == "dopri5")
    c.differentiable = c.independent_samples = false;
  // Without statistics of the batch to tell them apart, 30 steps lower it by 9 %, 60 by 90 %.
  if (component.name == "nf") c.steps = 60;
  if (component.name == "skipnet") c.differentiable = options.value("training", "sp") == "soft";
  return c;
}

}  // namespace

std::vector<TinyConnection> tiny_connections() {
  std::vector<TinyConnection> list;
  const auto variants = connection_variants();
  for (const std::string& name : connections().list()) {
    list.push_back(described(name));
    const auto [begin, end] = variants.equal_range(name);
    for (auto at = begin; at != end; ++at) list.push_back(described({name, at->second}));
  }
  return list;
}

}  // namespace residua
