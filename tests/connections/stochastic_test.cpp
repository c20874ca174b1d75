// Stochastic depth against enumeration and the formulas of its paper.
#include "residua/connections/stochastic.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <bit>
#include <cmath>
#include <set>

#include "carriers.h"
#include "residua/models/vision/residual_block.h"
#include "residua/nn/conv.h"
#include "residua/nn/observe.h"

namespace residua {
namespace {

// L linear branches of an MLP in double precision: y = W x.
struct LinearNet {
  std::vector<at::Tensor> weights;
  Carrier carrier;

  explicit LinearNet(int64_t depth) {
    torch::manual_seed(4);
    std::vector<Site> sites;
    for (int64_t i = 0; i < depth; ++i) {
      weights.push_back(0.3 * torch::randn({4, 4}, at::kDouble));
      sites.push_back({.branch = i, .block = i, .kind = SiteKind::mlp, .c_in = 4, .c_out = 4});
    }
    carrier = {.kind = CarrierKind::mlp, .sites = numbered(sites)};
  }

  std::shared_ptr<Connection> connect(const Json& options) const {
    return connections().create({"stochastic-depth", options}, carrier, Random(0));
  }

  at::Tensor run(Connection& connection, const at::Tensor& x) const {
    const StreamParts parts{.schedule = carrier.sites,
                            .branch = [&](const Site& site, const at::Tensor& input, State&) {
                              return input.matmul(weights[static_cast<size_t>(site.branch)].t());
                            }};
    return connection.finish(run_stream(connection, x, parts));
  }

  // The mean over all masks of the product of the factors I + b_l `scale_l` W_l, by enumeration.
  at::Tensor expected(const std::vector<double>& p, bool inverted, const at::Tensor& x) const {
    at::Tensor sum = torch::zeros_like(x);
    for (uint32_t mask = 0; mask < (1u << p.size()); ++mask) {
      double probability = 1;
      at::Tensor y = x;
      for (size_t l = 0; l < p.size(); ++l) {
        const bool kept = (mask >> l & 1u) != 0;
        probability *= kept ? p[l] : 1 - p[l];
        if (kept) y = y + (inverted ? 1 / p[l] : 1) * y.matmul(weights[l].t());
      }
      sum = sum + probability * y;
    }
    return sum;
  }
};

std::vector<double> table(const StochasticOptions& options, int64_t blocks) {
  std::vector<double> p;
  for (int64_t l = 1; l <= blocks; ++l) p.push_back(survival_probability(options, l, blocks));
  return p;
}

TEST(StochasticDepth, ExpectedDepthIsThatOfThePaper) {
  for (const int64_t blocks : {1, 6, 54, 600}) {
    double sum = 0;
    for (const double p : table({}, blocks)) sum += p;
    EXPECT_NEAR(sum, static_cast<double>(3 * blocks - 1) / 4, 1e-9);
  }
  for (const double p : table({.survival = 0.7, .rule = SurvivalRule::uniform}, 5))
    EXPECT_EQ(p, 0.7);
  // The expectation of the number of executed blocks, by enumeration of all masks of 6.
  const std::vector<double> p = table({}, 6);
  double depth = 0;
  for (uint32_t mask = 0; mask < 64; ++mask) {
    double probability = 1;
    for (size_t l = 0; l < 6; ++l) probability *= (mask >> l & 1u) != 0 ? p[l] : 1 - p[l];
    depth += probability * std::popcount(mask);
  }
  EXPECT_NEAR(depth, 17.0 / 4, 1e-12);
}

TEST(StochasticDepth, SurvivalOneIsTheResidualNetworkBitForBit) {
  for (const TinyCarrier& carrier : tiny_carriers())
    for (const char* mode : {"batch", "row"}) {
      const auto plain = carrier.make("identity");
      const auto sure = carrier.make({"stochastic-depth", {{"survival", 1}, {"mode", mode}}});
      const at::Tensor x = carrier.input(4);
      for (const bool training : {true, false}) {
        plain->train(training);
        sure->train(training);
        EXPECT_TRUE(plain->forward(x).equal(sure->forward(x))) << carrier.label << " " << mode;
      }
    }
}

TEST(StochasticDepth, TestModeIsTheMeanOverAllMasksOfALinearNetwork) {
  const LinearNet net(6);
  const at::Tensor x = torch::randn({3, 4}, at::kDouble);
  for (const char* scale : {"test", "inverted"}) {
    const auto connection = net.connect({{"scale", scale}});
    connection->eval();
    const at::Tensor expected = net.expected(table({}, 6), std::string(scale) == "inverted", x);
    EXPECT_TRUE(torch::allclose(net.run(*connection, x), expected, 1e-10, 1e-10)) << scale;
  }
}

TEST(StochasticDepth, TheMeanOfManyPassesIsTheTestMode) {
  const LinearNet net(6);
  const at::Tensor x = torch::randn({1, 4}, at::kDouble);
  for (const char* scale : {"test", "inverted"}) {
    const auto batch = net.connect({{"scale", scale}}),
               row = net.connect({{"scale", scale}, {"mode", "row"}});
    batch->eval();
    const at::Tensor expected = net.run(*batch, x);
    batch->train();
    row->train();
    torch::manual_seed(1);
    constexpr int64_t kPasses = 20000;
    const at::Tensor rows = net.run(*row, x.expand({kPasses, 4}));
    at::Tensor sum = torch::zeros_like(x);
    for (int64_t i = 0; i < kPasses; ++i) sum += net.run(*batch, x);
    // Four standard errors of the mean.
    const at::Tensor error = 4 * rows.std(0, true, true) / std::sqrt(kPasses);
    EXPECT_TRUE((rows.mean(0, true) - expected).abs().le(error).all().item<bool>()) << scale;
    EXPECT_TRUE((sum / kPasses - expected).abs().le(error).all().item<bool>()) << scale;
    EXPECT_LE(error.norm().item<double>(), 0.06 * expected.norm().item<double>()) << scale;
  }
}

TEST(StochasticDepth, RowsKeepOrLoseTheBranchEachForItself) {
  const LinearNet net(2);
  const auto row = net.connect({{"mode", "row"}, {"rule", "uniform"}, {"survival", 0.4}});
  row->train();
  torch::manual_seed(2);
  State state = row->begin(torch::zeros({20000, 4}, at::kDouble));
  const Site& site = net.carrier.sites[0];
  const Read read = row->read(state, site);
  EXPECT_TRUE(read.run);
  row->merge(state, site, torch::ones({20000, 4}, at::kDouble), read);
  const at::Tensor kept = state.x();
  EXPECT_TRUE(kept.eq(0).logical_or(kept.eq(1)).all().item<bool>());
  EXPECT_TRUE(kept.select(1, 0).equal(kept.select(1, 3)));
  // Four standard errors.
  EXPECT_NEAR(kept.mean().item<double>(), 0.4, 4 * std::sqrt(0.24 / 20000));
}

// Which blocks of a CIFAR ResNet ran in a pass, by their first convolution.
std::set<const torch::nn::Module*> executed(StreamModel& model, const at::Tensor& x) {
  std::set<const torch::nn::Module*> layers;
  const ForwardObserver observer(
      [&](const torch::nn::Module& layer, const auto&, const auto&) { layers.insert(&layer); });
  model.forward(x).square().sum().backward();
  return layers;
}

bool block_statistics_changed(ResidualBlock& block, const at::Tensor& before) {
  return !block.named_buffers()["bn1.running_mean"].equal(before);
}

TEST(StochasticDepth, AnAbsentBranchIsNotExecutedAndLearnsNothing) {
  for (const char* label : {"cifar", "cifar_b", "resnet"}) {
    const TinyCarrier& carrier = tiny_carrier(label);
    const auto model = carrier.make({"stochastic-depth", {{"survival", 0.3}}});
    model->train();
    int64_t ran = 0, absent = 0;
    for (uint64_t seed = 0; seed < 6; ++seed) {
      model->zero_grad();
      const auto blocks = blocks_of(*model);
      std::vector<at::Tensor> statistics;
      for (const auto& block : blocks)
        statistics.push_back(block->named_buffers()["bn1.running_mean"].clone());
      torch::manual_seed(seed);
      const auto layers = executed(*model, carrier.input(4, seed));
      for (size_t i = 0; i < blocks.size(); ++i) {
        const bool run = layers.contains(blocks[i]->named_children()["conv1"].get());
        (run ? ran : absent) += 1;
        for (const auto& p : blocks[i]->named_parameters()) {
          if (p.key().starts_with("shortcut") || p.key().starts_with("downsample")) continue;
          const at::Tensor g = p.value().grad();
          EXPECT_EQ(g.defined() && g.abs().sum().item<double>() > 0, run) << p.key();
        }
        EXPECT_EQ(block_statistics_changed(*blocks[i], statistics[i]), run);
      }
    }
    EXPECT_GT(ran, 0) << label;
    EXPECT_GT(absent, 0) << label;
  }
}

TEST(StochasticDepth, EvaluationIsTheFormula) {
  const TinyCarrier& carrier = tiny_carrier("cifar_b");
  const auto model = carrier.make({"stochastic-depth", {{"survival", 0.4}}});
  const auto streams = stream_trace(*model, carrier.input(3));
  const auto blocks = blocks_of(*model);
  const at::NoGradGuard no_grad;
  for (size_t l = 1; l < blocks.size(); ++l) {
    const double p = 1 - static_cast<double>(l + 1) / static_cast<double>(blocks.size()) * 0.6;
    const at::Tensor& x = streams[l - 1];
    const at::Tensor expected = (blocks[l]->shortcut(x) + p * blocks[l]->branch(x)).relu();
    EXPECT_TRUE(torch::allclose(streams[l], expected, 1e-5, 1e-6)) << l;
  }
}

}  // namespace
}  // namespace residua
