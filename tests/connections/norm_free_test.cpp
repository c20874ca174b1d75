#include "residua/connections/norm_free.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/analysis/signal/signal.h"
#include "residua/core/error.h"
#include "residua/models/model.h"

namespace residua {
namespace {

TEST(NormFree, PredictsItsVariance) {
  std::vector<Site> sites(3, Site{.c_in = 4, .c_out = 4});
  sites.push_back({.c_in = 4, .c_out = 8, .stride = 2});
  sites.push_back({.c_in = 8, .c_out = 8});
  const auto variances = norm_free_variances(sites, 0.5);
  const std::vector<double> expected{1, 1.25, 1.5, 1.75, 1.25, 1.5};
  ASSERT_EQ(variances.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_DOUBLE_EQ(variances[i], expected[i]);
}

std::vector<double> mean_over_networks(const Component& component, const at::IntArrayRef& images,
                                       double (*of)(const SiteSignal&), int64_t networks = 8) {
  std::vector<double> means;
  for (int64_t i = 0; i < networks; ++i) {
    const auto model = models().create(component, Random(static_cast<uint64_t>(100 + i)));
    torch::manual_seed(i);
    const Signal signal =
        measure_signal(dynamic_cast<StreamModel&>(*model), torch::randn(images), false);
    means.resize(signal.sites.size());
    for (size_t s = 0; s < means.size(); ++s)
      means[s] += of(signal.sites[s]) / static_cast<double>(networks);
  }
  return means;
}

double stream_variance(const SiteSignal& s) { return s.stream.variance; }
double stream_squared_mean(const SiteSignal& s) { return s.stream.squared_mean; }

TEST(NormFree, VarianceGrowsAsPredictedInAPerceptron) {
  const Component mlp{"mlp",
                      {{"depth", 50}, {"width", 128}, {"image_size", 16}, {"connection", "nf"}}};
  const auto variance = mean_over_networks(mlp, {512, 1, 16, 16}, stream_variance);
  ASSERT_EQ(variance.size(), 50u);
  for (size_t k = 0; k < 50; ++k)
    EXPECT_NEAR(variance[k] / (1 + 0.04 * static_cast<double>(k + 1)), 1, 0.05) << k;
}

Component norm_free_cifar(int64_t n, bool standard) {
  return {"resnet_cifar",
          {{"n", n},
           {"order", "pre"},
           {"shortcut", "B"},
           {"connection", {{"name", "nf"}, {"weight_standard", standard}}}}};
}

// 10 %: padding with zeros takes variance from the border of the images.
TEST(NormFree, VarianceGrowsAsPredictedInTheFirstStage) {
  const auto variance =
      mean_over_networks(norm_free_cifar(12, true), {2, 3, 32, 32}, stream_variance, 4);
  for (size_t k = 0; k < 12; ++k)
    EXPECT_NEAR(variance[k] / (1 + 0.04 * static_cast<double>(k + 1)), 1, 0.1) << k;
}

TEST(NormFree, StandardisedWeightsKeepChannelMeansSmall) {
  const auto with =
      mean_over_networks(norm_free_cifar(18, true), {4, 3, 32, 32}, stream_squared_mean, 4);
  const auto without =
      mean_over_networks(norm_free_cifar(18, false), {4, 3, 32, 32}, stream_squared_mean, 4);
  for (size_t k = 0; k < 18; ++k) EXPECT_LT(with[k], 0.05) << k;
  EXPECT_GT(without[17] / without[0], 10);
}

TEST(NormFree, EveryImageIsItsOwn) {
  const at::NoGradGuard no_grad;
  const auto others_stay = [](const Component& component) {
    const auto model = models().create(component, Random(1));
    torch::manual_seed(2);
    at::Tensor x = torch::randn({3, 3, 16, 16});
    const at::Tensor before = model->forward(x);
    x[1].mul_(-2);
    const at::Tensor after = model->forward(x);
    EXPECT_FALSE(after[1].equal(before[1]));
    return after[0].equal(before[0]) && after[2].equal(before[2]);
  };
  EXPECT_TRUE(others_stay(norm_free_cifar(1, true)));
  EXPECT_FALSE(others_stay({"resnet_cifar", {{"n", 1}, {"order", "pre"}}}));
}

TEST(NormFree, SkipInitBeginsAsTheShortcuts) {
  const at::NoGradGuard no_grad;
  const Component mlp{"mlp", {{"connection", {{"name", "nf"}, {"skipinit", true}}}}};
  const auto model = models().create(mlp, Random(1));
  const auto levels = model->features(torch::randn({4, 1, 8, 8}));
  for (const at::Tensor& level : levels) EXPECT_TRUE(level.equal(levels.front()));
  EXPECT_TRUE(model->named_parameters().contains("connection.0.skipinit_gain"));
}

TEST(NormFree, RefusesWhereItsPredictionWouldBeWrong) {
  const auto refusal = [](const Json& options) -> std::string {
    try {
      models().create({"resnet_cifar", options}, Random(0));
      return "none";
    } catch (const Error& e) {
      return e.what();
    }
  };
  EXPECT_NE(refusal({{"connection", "nf"}, {"shortcut", "B"}}).find("order=pre"),
            std::string::npos);
  for (const char* shortcut : {"A", "C"})
    EXPECT_NE(refusal({{"connection", "nf"}, {"order", "pre"}, {"shortcut", shortcut}})
                  .find("shortcut=B"),
              std::string::npos);
}

}  // namespace
}  // namespace residua
