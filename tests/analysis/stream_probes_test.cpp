// Probes of trained networks with a residual stream, on networks with random weights.
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "residua/analysis/probed_model.h"
#include "residua/connections/skipnet.h"
#include "residua/core/error.h"
#include "residua/models/stream_model.h"
#include "residua/nn/layer.h"
#include "residua/nn/observe.h"
#include "residua/nn/state.h"

namespace residua {
namespace {

// A tiny network for the digits, its weights in a file.
struct Saved {
  std::string path;
  Json configuration;
  std::shared_ptr<StreamModel> model;

  explicit Saved(const Json& connection)
      : path(testing::TempDir() + "probed-" + connection.at("name").get<std::string>() +
             std::to_string(getpid()) + ".safetensors") {
    const Json options{{"n", 2},          {"width", 4},        {"in_channels", 1},
                       {"shortcut", "B"}, {"num_classes", 10}, {"connection", connection}};
    model = std::dynamic_pointer_cast<StreamModel>(
        models().create({"resnet_cifar", options}, Random(4)));
    {
      const at::NoGradGuard no_grad;
      torch::manual_seed(1);
      for (at::Tensor& p : model->parameters()) p.add_(0.2 * torch::randn_like(p));
    }
    model->eval();
    save_weights(path, *model);
    Json named = options;
    named["name"] = "resnet_cifar";
    configuration = {{"model", named}, {"data", {{"name", "digits"}, {"skip_corrupt", false}}}};
  }
  ~Saved() { std::filesystem::remove(path); }

  ProbeContext context(uint64_t seed = 0) const {
    return {.random = Random(seed), .weights = path, .configuration = configuration};
  }
  std::map<std::string, double> run(const std::string& probe, const Json& options) const {
    const auto metrics = probes().create({probe, options})->run(context()).metrics;
    return {metrics.begin(), metrics.end()};
  }
};

TEST(ProbedModel, IsTheSavedModelOnTheTestImages) {
  const Saved saved(Json{{"name", "identity"}});
  const ProbedModel probed = open_probed(saved.context(), "x");
  const auto batches = probed.test_batches(45);
  ASSERT_EQ(batches.size(), 2u);  // 32 and 13
  EXPECT_EQ(batches[1].size(), 13);
  EXPECT_EQ(batches[1].input.size(0), 13);
  const at::NoGradGuard no_grad;
  int64_t right = 0;
  for (const Batch& batch : batches) {
    EXPECT_TRUE(probed.model->forward(batch.input).equal(saved.model->forward(batch.input)));
    right += saved.model->forward(batch.input).argmax(1).eq(batch.label).sum().item<int64_t>();
  }
  EXPECT_DOUBLE_EQ(top1_of(*probed.model, batches), static_cast<double>(right) / 45);
  EXPECT_THROW(open_probed({.random = Random(0)}, "x"), Error);
}

TEST(BlockRemoval, LosesWhatSilentBranchesLose) {
  const Saved saved(Json{{"name", "identity"}});
  auto m = saved.run("block-removal", {{"removed", {1, 6}}, {"draws", 2}, {"images", 100}});
  const ProbedModel probed = open_probed(saved.context(), "x");
  const auto batches = probed.test_batches(100);
  EXPECT_DOUBLE_EQ(m["top1"], top1_of(*saved.model, batches));
  saved.model->silence({0, 1, 2, 3, 4, 5});
  EXPECT_DOUBLE_EQ(m["removed6"], top1_of(*saved.model, batches));
  saved.model->silence({});
  EXPECT_NEAR(m["lost1"], m["top1"] - m["removed1"], 1e-12);
  EXPECT_EQ(m, saved.run("block-removal", {{"removed", {1, 6}}, {"draws", 2}, {"images", 100}}));
  EXPECT_THROW(saved.run("block-removal", {{"removed", {7}}}), Error);
}

TEST(GradientNorm, IsTheMeanOverBatches) {
  const Saved saved(Json{{"name", "identity"}});
  auto stem = saved.run("gradient-norm", {{"batches", 1}});
  EXPECT_GT(stem["gradient"], 0);
  EXPECT_NEAR(stem["relative"],
              stem["gradient"] / saved.model->parameters().front().norm().item<double>(), 1e-6);
  EXPECT_EQ(stem, saved.run("gradient-norm", {{"batches", 1}, {"parameter", "conv1.weight"}}));
  EXPECT_THROW(saved.run("gradient-norm", {{"parameter", "conv"}}), Error);
}

int64_t observed(StreamModel& model, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  int64_t macs = 0;
  const ForwardObserver observer(
      [&](const torch::nn::Module& layer, const at::Tensor& in, const at::Tensor& out) {
        if (const auto* counts = dynamic_cast<const CountsMacs*>(&layer))
          macs += counts->macs(in, out);
      });
  model.forward(x);
  return macs;
}

TEST(SkipCost, CountsWhatWasExecuted) {
  const Saved saved(Json{{"name", "skipnet"}, {"gate", "linear"}});
  auto m = saved.run("skip-cost", {{"images", 32}, {"draws", 1}, {"repeats", 1}});
  const ProbedModel probed = open_probed(saved.context(), "x");
  const at::Tensor x = probed.test_batches(32).front().input;
  auto& skipnet = dynamic_cast<SkipNet&>(saved.model->connection());
  const auto macs = static_cast<double>(observed(*saved.model, x));
  EXPECT_DOUBLE_EQ(m["macs"], macs / 32);
  const double executed = saved.model->extras(torch::zeros({32})).values.at(0).second;
  EXPECT_NEAR(m["executed"], executed, 1e-9);
  EXPECT_GT(executed, 0);
  EXPECT_LT(executed, 1) << "the case is chosen so that gates differ";
  skipnet.decide_by([](const Site&, const at::Tensor& z) { return at::ones_like(z); });
  const auto open = static_cast<double>(observed(*saved.model, x));
  EXPECT_DOUBLE_EQ(m["open.macs"], open / 32);
  EXPECT_NEAR(m["saving"], 1 - macs / open, 1e-12);
  EXPECT_LE(std::abs(m["brightness_correlation"]), 1);
  EXPECT_THROW(Saved(Json{{"name", "identity"}}).run("skip-cost", Json::object()), Error);
}

TEST(AttentionPruning, BypassesModules) {
  for (const char* name : {"attention", "stepnet"}) {
    const Saved saved(Json{{"name", name}});
    auto all = saved.run("attention-pruning", {{"part", 1}, {"draws", 1}, {"images", 100}});
    // Without any module the order does not matter.
    EXPECT_DOUBLE_EQ(all["nsi.top1"], all["random.top1"]);
    EXPECT_DOUBLE_EQ(all["nsi.top1"], all["most.top1"]);
    auto none = saved.run("attention-pruning", {{"part", 0}, {"draws", 1}, {"images", 100}});
    for (const char* metric : {"nsi.top1", "random.top1", "most.top1"})
      EXPECT_DOUBLE_EQ(none[metric], none["top1"]);
  }
  EXPECT_THROW(Saved(Json{{"name", "identity"}}).run("attention-pruning", Json::object()), Error);
}

TEST(StiffnessProbe, ReportsTheProfile) {
  const Saved saved(Json{{"name", "stepnet"}});
  auto m = saved.run("stiffness", {{"images", 50}});
  // 6 blocks: the first is not seen, two change the shape.
  EXPECT_EQ(m.count("nsi2"), 1u);
  EXPECT_EQ(m.count("nsi3"), 0u);
  EXPECT_NEAR(m["z0"] + m["z1"] + m["z2"], 0, 1e-9);
  EXPECT_NEAR(m["mean"], (m["nsi0"] + m["nsi1"] + m["nsi2"]) / 3, 1e-12);
}

}  // namespace
}  // namespace residua
