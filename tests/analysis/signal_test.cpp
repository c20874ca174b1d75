#include "residua/analysis/signal/signal.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/analysis/probe.h"
#include "residua/analysis/signal/update_size.h"
#include "residua/models/tabular/mlp.h"

namespace residua {
namespace {

TEST(ChannelMoments, AreAveragesOverChannels) {
  torch::manual_seed(1);
  const at::Tensor x = torch::randn({3, 4, 5, 2}) + torch::arange(4).view({1, 4, 1, 1});
  double mean = 0, squared = 0, variance = 0;
  for (int64_t c = 0; c < 4; ++c) {
    const at::Tensor channel = x.select(1, c).to(at::kDouble);
    const double m = channel.mean().item<double>();
    mean += m / 4;
    squared += m * m / 4;
    variance += (channel - m).square().mean().item<double>() / 4;
  }
  for (const at::Tensor& same : {x, x.permute({0, 2, 3, 1}).reshape({30, 4})}) {
    const ChannelMoments moments = channel_moments(same);
    EXPECT_NEAR(moments.mean, mean, 1e-6);
    EXPECT_NEAR(moments.squared_mean, squared, 1e-6);
    EXPECT_NEAR(moments.variance, variance, 1e-6);
  }
}

Signal signal_of(const Json& options) {
  const auto model = models().create({"resnet_cifar", options}, Random(3));
  torch::manual_seed(4);
  return measure_signal(dynamic_cast<StreamModel&>(*model), torch::randn({4, 3, 16, 16}));
}

TEST(Signal, TelescopesWhereStreamsAreSums) {
  const Json pre{{"n", 3}, {"width", 4}, {"order", "pre"}};
  EXPECT_LT(signal_of(pre).telescoping_error, 1e-6);
  Json scaled = pre;
  scaled["connection"] = {{"name", "scaled"}, {"scale", 0.5}};
  EXPECT_GT(signal_of(scaled).telescoping_error, 1e-2);
  EXPECT_GT(signal_of({{"n", 3}, {"width", 4}}).telescoping_error, 1e-2);  // ReLU after the sum
}

TEST(Signal, SeesStreamsAndBranches) {
  const auto model = std::dynamic_pointer_cast<Mlp>(
      models().create({"mlp", {{"depth", 3}, {"width", 8}, {"image_size", 4}}}, Random(3)));
  torch::manual_seed(4);
  const at::Tensor x = torch::randn({20, 1, 4, 4});
  const Signal signal = measure_signal(*model, x);
  const auto levels = model->features(x);
  ASSERT_EQ(signal.sites.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(signal.sites[i].stream.variance, channel_moments(levels[i]).variance, 1e-9);
    const at::Tensor before =
        i > 0 ? levels[i - 1]
              : model->named_parameters()["stem.bias"] +
                    x.flatten(1).mm(model->named_parameters()["stem.weight"].t());
    EXPECT_NEAR(signal.sites[i].branch.variance, channel_moments(levels[i] - before).variance,
                1e-6);
    if (i == 0) {
      EXPECT_NEAR(signal.input.variance, channel_moments(before).variance, 1e-6);
    }
  }
}

// Branches that are zero pass the gradient on as it is.
TEST(Signal, SeesTheGradientOnItsWayBack) {
  const Signal signal =
      signal_of({{"n", 3}, {"width", 4}, {"order", "pre"}, {"connection", "fixup"}});
  const double last = signal.sites[8].gradient;
  EXPECT_NEAR(last, 16, 2);  // 16 channels of 4 x 4 normal numbers
  EXPECT_EQ(signal.sites[7].gradient, last);
  EXPECT_EQ(signal.sites[6].gradient, last);
  EXPECT_LT(signal.sites[5].gradient, last);  // the shortcut lets a part of the channels through
}

TEST(UpdateSize, IsProportionalToSmallRates) {
  torch::manual_seed(4);
  const at::Tensor x = torch::randn({4, 1, 8, 8}, at::kDouble);
  const auto change = [&](double lr) {
    const auto model = models().create({"mlp", {{"depth", 2}}}, Random(3));
    model->to(at::kDouble);
    return update_size(*model, x, torch::tensor({1, 2, 3, 4}), lr);
  };
  EXPECT_NEAR(change(2e-6).change / change(1e-6).change, 2, 1e-3);
  EXPECT_EQ(change(1e-6).gradient, change(1e-3).gradient);
}

double probe_metric(const ProbeResult& result, const std::string& name) {
  for (const auto& [key, value] : result.metrics)
    if (key == name) return value;
  ADD_FAILURE() << "no metric " << name;
  return NAN;
}

ProbeResult run_probe(const Component& component) {
  return probes().create(component)->run({.random = Random(1)});
}

TEST(SignalProbes, ComparePredictionAndMeasurement) {
  const Json model{{"name", "mlp"}, {"depth", 10}, {"width", 128}, {"connection", "nf"}};
  const ProbeResult result =
      run_probe({"signal-propagation", {{"model", model}, {"networks", 4}, {"batch", 256}}});
  EXPECT_LT(probe_metric(result, "prediction_error"), 0.1);
  ASSERT_EQ(result.series.size(), 5u);
  EXPECT_EQ(result.series[0].predicted.size(), 10u);
  EXPECT_NEAR(result.series[0].predicted.back(), 1.4, 1e-12);
  EXPECT_LE(result.series[0].low[3], result.series[0].measured[3]);
}

TEST(SignalProbes, UpdateSizeVariesAnOption) {
  const ProbeResult result =
      run_probe({"update-size",
                 {{"model", {{"name", "resnet_cifar"}, {"width", 4}, {"connection", "fixup"}}},
                  {"values", {1, 4}}}});
  EXPECT_LT(probe_metric(result, "spread"), 2);
  EXPECT_GT(probe_metric(result, "change_4"), 0);
}

TEST(SignalProbes, WeightSpectrumOfOrthonormalFilters) {
  const Json model{{"name", "resnet_cifar"}, {"n", 1}, {"connection", "orthonormal"}};
  const ProbeResult result = run_probe({"weight-spectrum", {{"model", model}}});
  EXPECT_NEAR(probe_metric(result, "largest"), 1, 1e-5);
  EXPECT_NEAR(probe_metric(result, "smallest"), 1, 1e-5);
  EXPECT_LT(probe_metric(result, "orthonormality_error"), 1e-4);
  EXPECT_EQ(result.series.front().x.size(), 6u);
}

}  // namespace
}  // namespace residua
