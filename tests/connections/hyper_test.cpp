#include "residua/connections/hyper.h"

#include <gtest/gtest.h>

#include "residua/connections/hyper_mix.h"
#include "residua/core/error.h"
#include "residua/models/tabular/mlp.h"
#include "residua/nn/state.h"
#include "residua/optim/parameter_groups.h"
#include "toy_stream.h"

namespace residua {
namespace {

constexpr int64_t kWidth = 6;

Component hyper(Json options = Json::object()) { return {"hyper", std::move(options)}; }

HyperConnection& hyper_of(ToyStream& stream) {
  return dynamic_cast<HyperConnection&>(stream.connection());
}

// Moves every parameter away from where it starts.
void disturb(torch::nn::Module& module) {
  torch::manual_seed(5);
  for (at::Tensor& p : module.parameters()) p.detach().add_(0.3 * torch::randn_like(p));
}

at::Tensor stream_input() {
  torch::manual_seed(3);
  return torch::randn({4, 3, kWidth}, at::kDouble);
}

ToyStream double_stream(const Json& options, int64_t sites = 5) {
  ToyStream stream(hyper(options), tanh_branches(sites, kWidth), kWidth, CarrierKind::gpt);
  stream.connection().to(at::kDouble);
  return stream;
}

TEST(Hyper, BeginsAsTheResidualNetwork) {
  for (const bool dynamic : {false, true})
    for (const char* preset : {"sequential", "mixture"})
      for (const int64_t n : {1, 3, 4}) {
        ToyStream stream =
            double_stream({{"streams", n}, {"dynamic", dynamic}, {"preset", preset}});
        ToyStream identity("identity", tanh_branches(5, kWidth), kWidth, CarrierKind::gpt);
        const at::Tensor x = stream_input();
        // 1e-6: means over three streams have thirds in float32, measured 4.1e-7.
        const double tolerance = n == 3 ? 1e-6 : 1e-12;
        EXPECT_LT(max_difference(stream(x) / n, identity(x)), tolerance) << n << preset << dynamic;
      }
}

TEST(Hyper, PresetOfPairsIsParallel) {
  ToyStream stream = double_stream({{"streams", 2}, {"dynamic", false}, {"preset", "parallel"}}, 6);
  ToyStream pairs({"parallel", {{"kinds", "mixed"}}}, tanh_branches(6, kWidth), kWidth,
                  CarrierKind::gpt);
  const at::Tensor x = stream_input();
  EXPECT_LT(max_difference(stream(x) / 2, pairs(x)), 1e-12);
  EXPECT_THROW(double_stream({{"streams", 3}, {"preset", "parallel"}}), Error);
}

// The equations with one loop for each index, for static and dynamic matrices away from their
// start.
TEST(Hyper, FollowsItsEquations) {
  for (const bool tanh : {true, false}) {
    ToyStream stream = double_stream({{"streams", 3}, {"tanh", tanh}}, 2);
    disturb(stream.connection());
    const at::Tensor x = torch::randn({1, 1, kWidth}, at::kDouble);
    const at::Tensor received = stream(x);
    std::vector<at::Tensor> h(3, x.flatten());
    for (size_t t = 0; t < 2; ++t) {
      const HyperSite& s = *hyper_of(stream).sites()[t];
      const auto p = s.named_parameters();
      std::vector<at::Tensor> alpha, beta;
      for (const at::Tensor& stream_i : h) {
        const at::Tensor seen =
            at::layer_norm(stream_i, {kWidth}, p["norm.weight"], p["norm.bias"]);
        const auto squash = [&](const at::Tensor& v) { return tanh ? v.tanh() : v; };
        const int64_t i = static_cast<int64_t>(alpha.size());
        alpha.push_back(s.dynamic_alpha_scale * squash(at::matmul(seen, s.dynamic_alpha_fn)) +
                        s.static_alpha[i]);
        beta.push_back(s.dynamic_beta_scale * squash(seen.dot(s.dynamic_beta_fn)) +
                       s.static_beta[i]);
      }
      at::Tensor read = torch::zeros({kWidth}, at::kDouble);
      for (size_t i = 0; i < 3; ++i) read = read + alpha[i][0] * h[i];
      EXPECT_LT(max_difference(read, stream.inputs[t].flatten()), 1e-12);
      std::vector<at::Tensor> next;
      for (int64_t j = 0; j < 3; ++j) {
        at::Tensor mixed = beta[static_cast<size_t>(j)] * stream.outputs[t].flatten();
        for (size_t i = 0; i < 3; ++i) mixed = mixed + alpha[i][j + 1] * h[i];
        next.push_back(mixed);
      }
      h = next;
    }
    EXPECT_LT(max_difference(h[0] + h[1] + h[2], received.flatten()), 1e-12);
  }
}

TEST(Hyper, PermutedStreamsGiveTheSameOutput) {
  const Json options{{"streams", 4}};
  ToyStream first = double_stream(options), second = double_stream(options);
  disturb(first.connection());
  disturb(second.connection());
  const at::Tensor order = at::tensor({2, 0, 3, 1});
  const at::Tensor columns = at::cat({at::zeros({1}, at::kLong), order + 1});
  for (const auto& site : hyper_of(second).sites()) {
    site->static_alpha.set_data(site->static_alpha.index_select(0, order).index_select(1, columns));
    site->static_beta.set_data(site->static_beta.index_select(0, order));
    site->dynamic_alpha_fn.set_data(site->dynamic_alpha_fn.index_select(1, columns));
  }
  const at::Tensor x = stream_input();
  EXPECT_LT(max_difference(first(x), second(x)), 1e-12);
}

TEST(Hyper, UnrolledMatrixReproducesEveryRead) {
  ToyStream stream = double_stream({{"streams", 3}, {"dynamic", false}});
  disturb(stream.connection());
  const at::Tensor x = stream_input(), y = stream(x);
  std::vector<HyperCoefficients> fixed;
  for (const auto& site : hyper_of(stream).sites()) fixed.push_back(site->fixed());
  const at::Tensor dense = unroll_hyper(fixed);
  std::vector<at::Tensor> sources{x};
  sources.insert(sources.end(), stream.outputs.begin(), stream.outputs.end());
  std::vector<at::Tensor> reads = stream.inputs;
  reads.push_back(y);
  ASSERT_EQ(dense.size(0), static_cast<int64_t>(reads.size()));
  for (size_t t = 0; t < reads.size(); ++t) {
    at::Tensor sum = torch::zeros_like(x);
    for (size_t s = 0; s < sources.size(); ++s)
      sum = sum + dense[static_cast<int64_t>(t)][static_cast<int64_t>(s)] * sources[s];
    EXPECT_LT(max_difference(sum, reads[t]), 1e-12) << t;
  }
}

TEST(Hyper, OneStreamWithOnesStaysTheResidualNetworkWhenFrozen) {
  const MlpOptions plain{.depth = 3, .width = 8, .connection = "identity"};
  MlpOptions hyped = plain;
  hyped.connection = hyper({{"streams", 1}, {"dynamic", false}});
  Mlp a(plain, Random(1)), b(hyped, Random(1));
  torch::manual_seed(2);
  for (int step = 0; step < 5; ++step) {
    const at::Tensor x = torch::randn({16, 1, 8, 8});
    const at::Tensor ya = a.forward(x), yb = b.forward(x);
    EXPECT_LT(max_difference(ya, yb), 1e-5) << step;
    for (auto* model : {&a, &b}) {
      model->zero_grad();
      model->forward(x).square().mean().backward();
      const at::NoGradGuard no_grad;
      for (const auto& p : model->named_parameters())
        if (p.key().find("connection.") == std::string::npos)
          p.value().sub_(0.1 * p.value().grad());
    }
  }
}

TEST(Hyper, HasTheParametersOfItsFormula) {
  const int64_t n = 4, d = 8, depth = 3;
  const auto count = [&](const Component& connection) {
    const Mlp model({.depth = depth, .width = d, .connection = connection}, Random(1));
    int64_t sum = 0;
    for (const at::Tensor& p : model.parameters()) sum += p.numel();
    return sum;
  };
  const int64_t base = count("identity"), fixed = n * (n + 2), dynamic = d * (n + 2) + 2;
  EXPECT_EQ(count(hyper({{"dynamic", false}})) - base, depth * fixed);
  EXPECT_EQ(count(hyper()) - base, depth * (fixed + dynamic + 2 * d));
  EXPECT_EQ(count(hyper({{"norm", "rms"}})) - base, depth * (fixed + dynamic + d));
  EXPECT_EQ(count(hyper({{"dynamic", false}, {"learn", "width"}})) - base, depth * n * (n + 1));
  EXPECT_EQ(count(hyper({{"dynamic", false}, {"learn", "depth"}})) - base, depth * n);
}

TEST(Hyper, OnlyDynamicEntriesDecay) {
  const Mlp model({.depth = 1, .width = 8, .connection = hyper()}, Random(1));
  std::map<std::string, bool> decays;
  for (const ParameterGroup& group : parameter_groups(model, {.weight_decay = 0.1}))
    for (const std::string& name : group.names) decays[name] = group.weight_decay > 0;
  EXPECT_FALSE(decays.at("connection.0.static_alpha"));
  EXPECT_FALSE(decays.at("connection.0.static_beta"));
  EXPECT_TRUE(decays.at("connection.0.dynamic_alpha_fn"));
  EXPECT_TRUE(decays.at("connection.0.dynamic_beta_fn"));
  EXPECT_FALSE(decays.at("connection.0.norm.weight"));
  EXPECT_TRUE(decays.at("blocks.0.fc1.weight"));
}

TEST(Hyper, OutStdScalesTheLastWeights) {
  const MlpOptions plain{.depth = 1, .width = 8, .connection = hyper()};
  MlpOptions scaled = plain;
  scaled.connection = hyper({{"out_std", true}});
  const Mlp a(plain, Random(1)), b(scaled, Random(1));
  EXPECT_TRUE((a.blocks()[0]->fc2->weight * 2).equal(b.blocks()[0]->fc2->weight));
  EXPECT_TRUE(a.blocks()[0]->fc1->weight.equal(b.blocks()[0]->fc1->weight));
}

TEST(HyperMix, OnePassEqualsSeparateOperations) {
  torch::manual_seed(1);
  const at::Tensor h = torch::randn({3, 5, 4, 7}, at::kDouble).requires_grad_();
  const at::Tensor a = torch::randn({3, 5, 4, 5}, at::kDouble).requires_grad_();
  const auto run = [&](bool one_pass) {
    const auto [first, rest] = hyper_mix(h, a, one_pass);
    const at::Tensor loss = first.sin().sum() + (rest * rest.detach().cos()).sum();
    const auto grads = torch::autograd::grad({loss}, {h, a});
    return std::vector<at::Tensor>{first, rest, grads[0], grads[1]};
  };
  const auto one = run(true), separate = run(false);
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].sizes(), separate[i].sizes());
    EXPECT_LT(max_difference(one[i], separate[i]), 1e-12) << i;
  }
}

// Maps: a network whose coefficients are those of its start equals the one with the identity.
TEST(Hyper, RidesConvolutionalNetworks) {
  for (const char* order : {"pre", "post"}) {
    const auto make = [&](const Json& connection) {
      return models().create(
          {"resnet_cifar", {{"n", 2}, {"width", 4}, {"order", order}, {"connection", connection}}},
          Random(1));
    };
    const auto identity = make("identity"), streams = make({{"name", "hyper"}, {"streams", 1}});
    const at::Tensor x = torch::randn({2, 3, 16, 16});
    EXPECT_LT(max_difference(identity->forward(x), streams->forward(x)), 1e-5) << order;
    const auto four = make({{"name", "hyper"}, {"streams", 4}});
    disturb(*four);
    const at::Tensor y = four->forward(x);
    y.square().sum().backward();
    for (const auto& p : four->named_parameters())
      EXPECT_TRUE(p.value().grad().defined() && p.value().grad().isfinite().all().item<bool>())
          << p.key();
  }
}

}  // namespace
}  // namespace residua
