// SkipNet against the networks at the ends of its range, hand-written graphs and enumeration.
#include "residua/connections/skipnet.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <bit>
#include <cmath>

#include "carriers.h"
#include "residua/core/error.h"
#include "residua/models/tabular/mlp.h"
#include "residua/models/vision/residual_block.h"
#include "residua/models/vision/skipnet.h"
#include "residua/nn/layer.h"
#include "residua/nn/observe.h"
#include "residua/nn/state.h"

namespace residua {
namespace {

SkipNet& skipnet_of(StreamModel& model) { return dynamic_cast<SkipNet&>(model.connection()); }

SkipNet::Decide always(double g) {
  return [g](const Site&, const at::Tensor& z) { return at::full_like(z, g); };
}

// About half of the decisions, the same for the same site and number of samples.
at::Tensor coins(const Site& next, const at::Tensor& z) {
  at::Tensor g = at::empty(z.sizes(), z.options().requires_grad(false));
  Random random = Random(9).split(static_cast<uint64_t>(next.step));
  for (int64_t i = 0; i < g.numel(); ++i) g.flatten()[i].fill_(random.bernoulli(0.5) ? 1 : 0);
  return g;
}

void expect_close(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  const double scale = b.abs().max().item<double>();
  EXPECT_LE((a - b).abs().max().item<double>(), tolerance * scale);
}

TEST(SkipNet, WithEveryGateOpenIsThePlainNetwork) {
  for (const TinyCarrier& carrier : tiny_carriers()) {
    const auto plain = carrier.make("identity"), gated = carrier.make("skipnet");
    skipnet_of(*gated).decide_by(always(1));
    const at::Tensor x = carrier.input(4);
    for (const bool training : {true, false}) {
      plain->train(training);
      gated->train(training);
      // The plain network adds within its last normalisation: measured below 2e-6.
      expect_close(gated->forward(x), plain->forward(x), 1e-5);
    }
  }
}

TEST(SkipNet, WithEveryGateShutIsTheChainOfShortcuts) {
  for (const char* label : {"cifar", "cifar_b", "resnet"}) {
    const TinyCarrier& carrier = tiny_carrier(label);
    for (const bool rows : {true, false}) {
      const auto model = carrier.make({"skipnet", {{"rows", rows}}});
      skipnet_of(*model).decide_by(always(0));
      const auto streams = stream_trace(*model, carrier.input(3));
      const auto blocks = blocks_of(*model);
      const at::NoGradGuard no_grad;
      at::Tensor x = streams.front();  // the first block always runs
      for (size_t i = 1; i < blocks.size(); ++i) x = blocks[i]->shortcut(x);
      expect_close(streams.back(), x, 1e-6);
      if (std::string(label) == "cifar_b") {
        EXPECT_LT(x.min().item<float>(), 0) << "a shortcut that is passed over has no ReLU";
      }
    }
  }
}

TEST(SkipNet, EvaluationIsTheFormula) {
  const TinyCarrier& carrier = tiny_carrier("cifar_b");
  const auto model = carrier.make("skipnet");
  skipnet_of(*model).decide_by(coins);
  const auto streams = stream_trace(*model, carrier.input(6));
  const auto blocks = blocks_of(*model);
  const at::NoGradGuard no_grad;
  const at::Tensor z = torch::zeros({6});
  for (size_t i = 1; i < blocks.size(); ++i) {
    const at::Tensor g = coins(model->schedule()[i], z).view({6, 1, 1, 1});
    const at::Tensor &x = streams[i - 1], s = blocks[i]->shortcut(x);
    expect_close(streams[i], g * (s + blocks[i]->branch(x)).relu() + (1 - g) * s, 1e-5);
  }
}

TEST(SkipNet, ExecutingRowsEqualsMasking) {
  for (const TinyCarrier& carrier : tiny_carriers()) {
    const auto rows = carrier.make({"skipnet", {{"gate", "linear"}}}),
               mask = carrier.make({"skipnet", {{"gate", "linear"}, {"rows", false}}});
    for (const auto& model : {rows, mask}) skipnet_of(*model).decide_by(coins);
    const auto a = stream_trace(*rows, carrier.input(7)), b = stream_trace(*mask, carrier.input(7));
    for (size_t i = 0; i < a.size(); ++i) expect_close(a[i], b[i], 1e-5);
  }
}

int64_t observed_macs(StreamModel& model, const at::Tensor& x) {
  int64_t macs = 0;
  const ForwardObserver observer(
      [&](const torch::nn::Module& layer, const at::Tensor& in, const at::Tensor& out) {
        if (const auto* counts = dynamic_cast<const CountsMacs*>(&layer))
          macs += counts->macs(in, out);
      });
  model.eval();
  model.forward(x);
  return macs;
}

TEST(SkipNet, OnlyExecutedBlocksCost) {
  // Width 8 at 16x16: a block whose shape stays has two 3x3 convolutions of c -> c.
  const auto convolution = [](int64_t in, int64_t out, int64_t size, int64_t kernel) {
    return in * out * size * size * kernel * kernel;
  };
  const auto block = [&](int64_t stage, bool first) {
    const int64_t c = 8 << stage, size = 16 >> stage, in = first && stage > 0 ? c / 2 : c;
    return convolution(in, c, size, 3) + convolution(c, c, size, 3);
  };
  const TinyCarrier& carrier = tiny_carrier("cifar_b");
  const auto model = carrier.make("skipnet");
  const int64_t n = 6, features = 10, hidden = 10;
  skipnet_of(*model).decide_by(coins);
  int64_t expected = n * (convolution(3, 8, 16, 3) + block(0, true) + 32 * 5);
  const at::Tensor z = torch::zeros({n});
  for (size_t i = 1; i < 6; ++i) {
    const auto stage = static_cast<int64_t>(i) / 2;
    const bool first = i % 2 == 0;
    const int64_t ran = coins(model->schedule()[i], z).sum().item<int64_t>();
    expected += ran * block(stage, first);
    if (first) expected += n * convolution(8 << (stage - 1), 8 << stage, 16 >> stage, 1);
    // The gate after the block before: one 1x1 convolution of the means, a step of the LSTM, one
    // output.
    const int64_t channels = 8 << ((static_cast<int64_t>(i) - 1) / 2);
    expected += n * (channels * features + hidden);
  }
  EXPECT_EQ(observed_macs(*model, carrier.input(n)), expected);
  skipnet_of(*model).decide_by(always(0));
  const int64_t shut = observed_macs(*model, carrier.input(n));
  skipnet_of(*model).decide_by(always(1));
  const int64_t open = observed_macs(*model, carrier.input(n));
  EXPECT_EQ(open - shut, n * (block(0, false) + block(1, true) + block(1, false) + block(2, true) +
                              block(2, false)));
}

TEST(SkipNet, ReportsThePartThatWasExecuted) {
  const TinyCarrier& carrier = tiny_carrier("mlp");
  const auto model = carrier.make("skipnet");
  model->eval();
  for (const double g : {0.0, 1.0}) {
    skipnet_of(*model).decide_by(always(g));
    model->forward(carrier.input(3));
    const Extras extras = model->extras(torch::zeros({3}));
    EXPECT_FALSE(extras.penalty.defined());
    ASSERT_EQ(extras.values.size(), 1u);
    EXPECT_EQ(extras.values[0].first, "executed");
    EXPECT_EQ(extras.values[0].second, g);
  }
}

// --- gradients, on an MLP of 5 blocks, thus 4 gates, in double precision

std::shared_ptr<Mlp> toy(const Json& options) {
  auto model = std::make_shared<Mlp>(MlpOptions{.depth = 5,
                                                .width = 4,
                                                .act = Activation::tanh,
                                                .num_classes = 2,
                                                .in_channels = 1,
                                                .image_size = 2,
                                                .connection = {"skipnet", options}},
                                     Random(6));
  model->to(at::kDouble);
  const at::NoGradGuard no_grad;
  torch::manual_seed(12);
  for (at::Tensor& p : model->parameters()) p.copy_(0.5 * torch::randn_like(p));
  return model;
}

std::vector<at::Tensor> gradients(torch::nn::Module& model) {
  std::vector<at::Tensor> list;
  for (const at::Tensor& p : model.parameters())
    list.push_back(p.grad().defined() ? p.grad().clone() : torch::zeros_like(p));
  model.zero_grad();
  return list;
}

at::Tensor toy_losses(const at::Tensor& y) { return y.square().sum(1) + y.select(1, 0); }

TEST(SkipNet, StraightThroughGradientIsThatOfTheSoftGate) {
  const auto model = toy({{"gate", "linear"}});
  const at::Tensor x = torch::randn({6, 1, 2, 2}, at::kDouble);
  model->train();
  toy_losses(model->forward(x)).mean().backward();
  const auto received = gradients(*model);

  const auto p = model->named_parameters();
  const auto layer = [&](const std::string& name, const at::Tensor& v) {
    return at::linear(v, p[name + ".weight"], p[name + ".bias"]);
  };
  at::Tensor stream = layer("stem", x.flatten(1)), g;
  for (int64_t i = 0; i < 5; ++i) {
    const std::string block = "blocks." + std::to_string(i);
    const at::Tensor normed =
        at::layer_norm(stream, {4}, p[block + ".norm.weight"], p[block + ".norm.bias"]);
    const at::Tensor full = stream + layer(block + ".fc2", layer(block + ".fc1", normed).tanh());
    stream = g.defined() ? g * full + (1 - g) * stream : full;
    if (i == 4) break;
    const at::Tensor soft =
        layer("connection." + std::to_string(i) + ".linear_layer", stream).softmax(1).slice(1, 1);
    g = soft.gt(0.5).to(at::kDouble).detach() - soft.detach() + soft;
  }
  const at::Tensor y = layer("head", at::layer_norm(stream, {4}, p["norm.weight"], p["norm.bias"]));
  toy_losses(y).mean().backward();
  const auto expected = gradients(*model);
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(torch::allclose(received[i], expected[i], 1e-9, 1e-12)) << i;
}

// The decisions of gate i in the bits of `mask`.
SkipNet::Decide masked(uint32_t mask) {
  return [mask](const Site& next, const at::Tensor& z) {
    return at::full_like(z, (mask >> (next.step - 1) & 1u) != 0 ? 1 : 0).detach();
  };
}

constexpr double kAlpha = 0.7;

struct Reinforced {
  std::vector<at::Tensor> exact, estimated;
};

// The gradient of E[L - alpha / 4 sum (1 - g)] over all 16 masks for one sample by automatic
// differentiation, and the mean over the masks of what a training step gives.
Reinforced enumerate(Mlp& model, const at::Tensor& x) {
  Reinforced r;
  at::Tensor expectation = torch::zeros({}, at::kDouble), mean = torch::zeros({}, at::kDouble);
  for (uint32_t mask = 0; mask < 16; ++mask) {
    skipnet_of(model).decide_by(masked(mask));
    State state;
    model.visit_sites([&](const Site&, const State& s) { state = s; });
    const at::Tensor loss = toy_losses(model.forward(x)).mean();
    model.visit_sites({});
    const at::Tensor penalty = model.extras(loss.detach().reshape({1})).penalty;
    const auto z = SkipNet::log_odds(state);
    at::Tensor probability = torch::ones({}, at::kDouble);
    for (size_t i = 0; i < z.size(); ++i)
      probability = probability * ((mask >> i & 1u) != 0 ? z[i] : -z[i]).sigmoid().squeeze();
    const double saved = kAlpha / 4 * (4 - std::popcount(mask));
    expectation = expectation + probability * (loss - saved);
    mean = mean + probability.detach() * (loss + penalty);
  }
  skipnet_of(model).decide_by({});
  expectation.backward({}, /*retain_graph=*/true);
  r.exact = gradients(model);
  mean.backward();
  r.estimated = gradients(model);
  return r;
}

TEST(SkipNet, ReinforceIsUnbiasedByEnumeration) {
  for (const char* gate : {"linear", "rnn"}) {
    const auto model =
        toy({{"gate", gate}, {"training", "rl"}, {"rl_weight", 1}, {"alpha", kAlpha}});
    model->train();
    const Reinforced r = enumerate(*model, torch::randn({1, 1, 2, 2}, at::kDouble));
    for (size_t i = 0; i < r.exact.size(); ++i)
      EXPECT_TRUE(torch::allclose(r.estimated[i], r.exact[i], 1e-9, 1e-12)) << gate << " " << i;
  }
}

TEST(SkipNet, ReinforceConvergesToTheExactGradient) {
  const at::Tensor x = torch::randn({1, 1, 2, 2}, at::kDouble);
  for (const bool baseline : {false, true}) {
    const auto model = toy({{"gate", "linear"},
                            {"training", "rl"},
                            {"rl_weight", 1},
                            {"alpha", kAlpha},
                            {"baseline", baseline}});
    model->train();
    const Reinforced r = enumerate(*model, x);
    constexpr int64_t kSamples = 50000;
    torch::manual_seed(3);
    const at::Tensor losses = toy_losses(model->forward(x.expand({kSamples, 1, 2, 2})));
    (losses.mean() + model->extras(losses.detach()).penalty).backward();
    double error = 0, norm = 0;
    const auto sampled = gradients(*model);
    for (size_t i = 0; i < sampled.size(); ++i) {
      error += (sampled[i] - r.exact[i]).square().sum().item<double>();
      norm += r.exact[i].square().sum().item<double>();
    }
    EXPECT_LE(std::sqrt(error / norm), 0.02) << baseline;
  }
}

TEST(SkipNet, SaysNothingAboutLossesOutsideReinforcedTraining) {
  const at::Tensor x = torch::randn({3, 1, 2, 2}, at::kDouble);
  for (const char* training : {"sp", "soft", "rl"})
    for (const bool trains : {true, false}) {
      const auto model = toy({{"training", training}});
      model->train(trains);
      model->forward(x);
      EXPECT_EQ(model->extras(torch::ones({3}, at::kDouble)).penalty.defined(),
                trains && std::string(training) == "rl");
    }
}

TEST(SkipNet, TokensHaveGatesOfTheirOwnOnAGpt) {
  std::vector<Site> sites;
  for (int64_t i = 0; i < 4; ++i)
    sites.push_back({.branch = i,
                     .block = i / 2,
                     .sublayer = i % 2,
                     .kind = i % 2 == 0 ? SiteKind::attention : SiteKind::mlp,
                     .c_in = 5,
                     .c_out = 5});
  const Carrier carrier{.kind = CarrierKind::gpt, .sites = numbered(sites)};
  // A causal attention (running mean of the tokens) and a map of each token alone.
  std::vector<int64_t> evaluated;
  const auto branch = [&](const Site& site, const at::Tensor& v, State&) {
    evaluated.push_back(v.size(0) * v.size(1));
    const at::Tensor position = torch::arange(1, v.size(1) + 1).view({1, -1, 1});
    return site.kind == SiteKind::attention ? v.cumsum(1) / position : (2 * v).tanh();
  };
  const auto run = [&](bool rows, const at::Tensor& x) {
    const auto connection = connections().create({"skipnet", {{"rows", rows}}}, carrier, Random(2));
    dynamic_cast<SkipNet&>(*connection).decide_by(coins);
    connection->eval();
    evaluated.clear();
    return connection->finish(
        run_stream(*connection, x, {.schedule = carrier.sites, .branch = branch}));
  };
  const at::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({2, 7, 5});
  const at::Tensor by_rows = run(true, x);
  std::vector<int64_t> expected{14, 0, 14, 0};
  for (const size_t mlp : {1, 3})
    expected[mlp] = coins(carrier.sites[mlp], torch::zeros({2, 7})).sum().item<int64_t>();
  EXPECT_EQ(evaluated, expected);
  EXPECT_TRUE(torch::allclose(by_rows, run(false, x), 1e-5, 1e-6));
}

TEST(SkipNet, RefusesConvolvingGatesWithoutMaps) {
  for (const char* gate : {"ff1", "ff2"}) {
    try {
      tiny_carrier("mlp").make({"skipnet", {{"gate", gate}}});
      ADD_FAILURE() << "took " << gate;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::unsupported);
      EXPECT_NE(e.text().rule.find("does not ride a mlp"), std::string::npos);
    }
  }
}

TEST(SkipNet, ReadsAndWritesTheReferencesNames) {
  const ResNetCifarOptions options{
      .n = 1,
      .width = 4,
      .shortcut = Shortcut::b,
      .connection = {"skipnet", {{"gate", "ff2"}, {"last_gate", true}}}};
  ResNetCifar a(options, Random(1)), b(options, Random(2));
  const std::string path = testing::TempDir() + "skipnet.safetensors";
  save_weights(path, *skipnet_reference_names(a));
  EXPECT_TRUE(load_weights(*skipnet_reference_names(b), *open_tensor_file(path)).complete());
  const NamedTensors from = state_dict(a), to = state_dict(b);
  ASSERT_EQ(from.size(), to.size());
  for (size_t i = 0; i < to.size(); ++i)
    EXPECT_TRUE(from[i].second.equal(to[i].second)) << to[i].first;
  EXPECT_THROW(skipnet_reference_names(ResNetCifar({.n = 1, .width = 4}, Random(0))), Error);
}

}  // namespace
}  // namespace residua
