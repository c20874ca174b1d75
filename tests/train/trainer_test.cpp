#include "residua/train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/data/loader.h"
#include "residua/train/event_log.h"
#include "residua/train/tasks/classification.h"
#include "tests/train/tiny_run.h"

namespace residua {
namespace {

using test::make_tiny_run;
using test::TemporaryFolder;
using test::TinyRun;
using test::TinyRunOptions;
using ::testing::HasSubstr;

struct Variant {
  std::string name;
  TinyRunOptions options;
};

std::vector<Variant> variants() {
  std::vector<Variant> all;
  all.push_back({"plain", {}});
  all.push_back({"ema", {}});
  all.back().options.loop.ema_decay = 0.9;
  all.push_back({"accumulate", {}});
  all.back().options.loop.accumulate = 3;
  all.push_back({"bf16", {}});
  all.back().options.loop.amp = Amp::bf16;
  all.push_back({"mixup", {}});
  all.back().options.augment.mix = {.mixup = 0.4, .cutmix = 1.0};
  all.push_back({"planar", {}});
  all.back().options.loop.channels_last = false;
  all.push_back({"everything", {}});
  all.back().options.loop.ema_decay = 0.95;
  all.back().options.loop.accumulate = 2;
  all.back().options.loop.amp = Amp::bf16;
  all.back().options.loop.clip_grad_norm = 0.5;
  all.back().options.loop.save_every = 2;
  all.back().options.loop.eval_every = 2;
  all.back().options.augment.mix = {.mixup = 0.4};
  all.back().options.augment.erase = {.probability = 0.5};
  all.back().options.workers = 2;
  return all;
}

struct Outcome {
  std::string weights, lines, result;
};

Outcome outcome_of(const TinyRun& run, const TinyRunOptions& options, const RunResult& result) {
  Json metrics = Json::object();
  for (const Metric& m : result.test) metrics[m.name] = m.value;
  return {test::weight_bytes(*run.net), test::timeless_lines(options.folder + "/metrics.jsonl"),
          metrics.dump() + std::to_string(result.best_step) + Json(result.best_value).dump()};
}

Outcome train_at_once(TinyRunOptions options, const std::string& folder) {
  options.folder = folder;
  TinyRun run = make_tiny_run(options);
  Trainer trainer(run.parts, options.loop);
  return outcome_of(run, options, trainer.run());
}

// Stops after `questions` and continues in a new trainer, until the run is over.
Outcome train_in_pieces(TinyRunOptions options, const std::string& folder, int questions) {
  options.folder = folder;
  for (int piece = 0; piece < 100; ++piece) {
    TinyRun run = make_tiny_run(options);
    int left = questions;
    run.parts.stop = [&left] { return --left <= 0; };
    Trainer trainer(run.parts, options.loop);
    EXPECT_EQ(trainer.resume(), piece > 0);
    const RunResult result = trainer.run();
    if (result.finished) return outcome_of(run, options, result);
  }
  ADD_FAILURE() << "the run made no progress";
  return {};
}

class EveryVariant : public ::testing::TestWithParam<Variant> {};

TEST_P(EveryVariant, TwoRunsAreEqualToTheBit) {
  const TemporaryFolder folder;
  const Outcome a = train_at_once(GetParam().options, folder.path("a"));
  const Outcome b = train_at_once(GetParam().options, folder.path("b"));
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.lines, b.lines);
  EXPECT_EQ(a.result, b.result);
}

// 3 epochs of 7 batches: the stops fall into the middle of epochs, on their ends and into
// evaluations. An evaluation of 2 batches asks twice and begins anew when it was stopped, so that
// fewer than 3 questions would never lead on.
TEST_P(EveryVariant, StoppedAndContinuedEqualsUninterruptedToTheBit) {
  const TemporaryFolder folder;
  const Outcome whole = train_at_once(GetParam().options, folder.path("whole"));
  for (const int questions : {3, 4, 5, 8, 9, 11}) {
    SCOPED_TRACE(questions);
    const Outcome pieces = train_in_pieces(
        GetParam().options, folder.path("pieces" + std::to_string(questions)), questions);
    EXPECT_EQ(whole.weights, pieces.weights);
    EXPECT_EQ(whole.lines, pieces.lines);
    EXPECT_EQ(whole.result, pieces.result);
  }
}

INSTANTIATE_TEST_SUITE_P(Trainer, EveryVariant, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

TEST(Trainer, AnotherSeedIsAnotherRun) {
  const TemporaryFolder folder;
  TinyRunOptions other;
  other.loop.seed = 1;
  EXPECT_NE(train_at_once({}, folder.path("a")).weights,
            train_at_once(other, folder.path("b")).weights);
}

TEST(Trainer, WorkersDoNotChangeTheRun) {
  const TemporaryFolder folder;
  TinyRunOptions other;
  other.workers = 3;
  EXPECT_EQ(train_at_once({}, folder.path("a")).weights,
            train_at_once(other, folder.path("b")).weights);
}

TEST(Trainer, Learns) {
  TinyRunOptions options;
  options.loop.epochs = 12;
  options.images = 200;
  options.dropout = 0;
  options.width = 8;
  TinyRun run = make_tiny_run(options);
  const RunResult result = Trainer(run.parts, options.loop).run();
  EXPECT_TRUE(result.finished);
  EXPECT_EQ(result.step, 12 * 25);
  EXPECT_GT(metric_value(result.test, "top1"), 0.9);  // guessing gives 0.33
}

// Without batch statistics and randomness, k batches of n images make the step that one batch of k
// n images makes.
TEST(Trainer, AccumulationEqualsOneLargeBatch) {
  const auto weights_after = [](int64_t batch_size, int64_t accumulate) {
    auto data = test::tiny_dataset(48, 1);
    torch::manual_seed(3);
    auto model = std::make_shared<torch::nn::LinearImpl>(3 * 6 * 6, 3);
    model->to(at::kDouble);
    TrainerParts parts;
    parts.network = {model, [model](const at::Tensor& x) {
                       return model->forward(x.flatten(1).to(at::kDouble));
                     }};
    parts.task = std::make_shared<ClassificationTask>();
    parts.optimizer = optimizers().create({"sgd", {{"lr", 0.1}}}, parameter_groups(*model));
    parts.schedule = schedules().create("constant");
    AugmentOptions augment;
    parts.train =
        std::make_shared<Loader>(data, Pipeline(data->info(), augment, Phase::train),
                                 LoaderOptions{.batch_size = batch_size, .workers = 0}, Random(1));
    LoopOptions loop{.epochs = 1, .accumulate = accumulate};
    const RunResult result = Trainer(parts, loop).run();
    EXPECT_EQ(result.step, 2);
    return model->weight.detach().clone();
  };
  const double distance = (weights_after(24, 1) - weights_after(6, 4)).abs().max().item<double>();
  EXPECT_LT(distance, 1e-6);  // the loss is summed in float32, measured 2e-8
}

TEST(Trainer, FollowsTheSchedule) {
  const TemporaryFolder folder;
  TinyRunOptions options;
  options.loop.log_every = 1;
  options.folder = folder.path("run");
  TinyRun run = make_tiny_run(options);
  run.parts.schedule = schedules().create({"cosine", {{"warmup_steps", 4}}});
  Trainer(run.parts, options.loop).run();
  std::istringstream lines(test::read_text(folder.path("run/metrics.jsonl")));
  int64_t step = 0;
  for (std::string text; std::getline(lines, text);) {
    const Json line = Json::parse(text);
    if (line["kind"] != "train") continue;
    EXPECT_EQ(line["lr"].get<double>(), 0.1 * run.parts.schedule->factor(step, 21, 7));
    EXPECT_EQ(line["step"], ++step);
  }
  EXPECT_EQ(step, 21);
}

TEST(Trainer, EvaluatesTheAverageButKeepsTheWeights) {
  TinyRunOptions options;
  options.loop = {.epochs = 1, .ema_decay = 0.5};
  options.dropout = 0;
  TinyRun averaged = make_tiny_run(options);
  const RunResult with = Trainer(averaged.parts, options.loop).run();
  options.loop.ema_decay = 0;
  TinyRun plain = make_tiny_run(options);
  const RunResult without = Trainer(plain.parts, options.loop).run();
  EXPECT_EQ(test::weight_bytes(*averaged.net), test::weight_bytes(*plain.net));
  EXPECT_NE(metric_value(with.test, "loss"), metric_value(without.test, "loss"));
}

TEST(Trainer, ClippingLimitsTheStep) {
  TinyRunOptions options;
  options.loop = {.epochs = 1, .clip_grad_norm = 1e-3};
  options.images = 8;  // one step
  options.momentum = 0;
  options.lr = 1;
  TinyRun run = make_tiny_run(options);
  run.parts.optimizer =
      optimizers().create({"sgd", {{"lr", 1.0}, {"momentum", 0.0}, {"nesterov", false}}},
                          parameter_groups(*run.net, {.weight_decay = 0}));
  std::vector<at::Tensor> before;
  for (const auto& p : run.net->parameters()) before.push_back(p.detach().clone());
  Trainer(run.parts, options.loop).run();
  double moved = 0;
  for (size_t i = 0; i < before.size(); ++i)
    moved += (run.net->parameters()[i].detach() - before[i]).pow(2).sum().item<double>();
  EXPECT_NEAR(std::sqrt(moved), 1e-3, 2e-6);  // clip_grad_norm adds 1e-6 to the norm
}

TEST(Trainer, AdaptiveClippingLimitsTheStepOfEachUnit) {
  TinyRunOptions options;
  options.loop = {.epochs = 1, .clip_agc = 1e-3};
  options.images = 8;  // one step
  TinyRun run = make_tiny_run(options);
  run.parts.unclipped = {"fc.*"};
  run.parts.optimizer =
      optimizers().create({"sgd", {{"lr", 1.0}, {"momentum", 0.0}, {"nesterov", false}}},
                          parameter_groups(*run.net, {.weight_decay = 0}));
  const at::Tensor conv = run.net->conv->weight.detach().clone();
  const at::Tensor fc = run.net->fc->weight.detach().clone();
  Trainer(run.parts, options.loop).run();
  for (int64_t i = 0; i < conv.size(0); ++i)
    EXPECT_NEAR(((run.net->conv->weight[i] - conv[i]).norm() / conv[i].norm()).item<double>(), 1e-3,
                1e-6);
  EXPECT_GT(((run.net->fc->weight - fc).norm() / fc.norm()).item<double>(), 1e-2);
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    return error.what();
  }
  return "no error";
}

TEST(NonFinite, NamesStepRateAndLayerAndOverwritesNothing) {
  const TemporaryFolder folder;
  TinyRunOptions options;
  options.loop.save_every = 3;
  options.folder = folder.path("run");
  TinyRun run = make_tiny_run(options);
  int steps = 0;
  run.parts.stop = [&] {
    if (++steps == 4) run.net->bn->weight.detach().fill_(std::numeric_limits<float>::infinity());
    return false;
  };
  Trainer trainer(run.parts, options.loop);
  const std::string message = message_of([&] { trainer.run(); });
  EXPECT_THAT(message, HasSubstr("[step 5] the loss is not finite"));
  EXPECT_THAT(message, HasSubstr("at learning rate 0.0"));
  EXPECT_THAT(message, HasSubstr("bn, whose weight is not finite"));
  const auto names = run.parts.checkpoints->names();
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(names[0], "step-0000000003");
  EXPECT_EQ(load_checkpoint(folder.path("run/checkpoints/" + names[0])).step(), 3);
}

TEST(NonFinite, ADivergingRunIsStopped) {
  TinyRunOptions options;
  options.lr = 1e30;
  options.loop.epochs = 20;
  TinyRun run = make_tiny_run(options);
  EXPECT_THAT(message_of([&] { Trainer(run.parts, options.loop).run(); }),
              HasSubstr("is not finite"));
}

TEST(NonFinite, SpoiledWeightsAreNotSaved) {
  const TemporaryFolder folder;
  TinyRunOptions options;
  options.loop.save_every = 4;
  options.folder = folder.path("run");
  TinyRun run = make_tiny_run(options);
  int steps = 0;
  // The step itself spoils them, so no later loss can tell.
  run.parts.stop = [&] {
    if (++steps == 4) run.net->fc->bias.detach().fill_(std::nanf(""));
    return false;
  };
  EXPECT_THAT(message_of([&] { Trainer(run.parts, options.loop).run(); }),
              HasSubstr("a weight is not finite. Received fc.bias"));
  EXPECT_TRUE(run.parts.checkpoints->names().empty());
}

TEST(NonFinite, SpoiledGradientIsFoundBeforeTheStep) {
  TinyRunOptions options;
  options.loop.clip_grad_norm = 1;
  TinyRun run = make_tiny_run(options);
  run.net->fc->weight.register_hook([](const at::Tensor& g) { return g * std::nan(""); });
  const std::string before = test::weight_bytes(*run.net->fc);
  EXPECT_THAT(
      message_of([&] { Trainer(run.parts, options.loop).run(); }),
      HasSubstr("[step 1] the gradient is not finite. Received norm nan at learning rate 0.1"));
  EXPECT_EQ(test::weight_bytes(*run.net->fc), before);
}

TEST(Resume, BrokenNewestFallsBackWithAWarningAndReachesTheSameEnd) {
  const TemporaryFolder folder;
  const Outcome whole = train_at_once({}, folder.path("whole"));
  TinyRunOptions options;
  options.folder = folder.path("run");
  {
    TinyRun run = make_tiny_run(options);
    int left = 16;
    run.parts.stop = [&left] { return --left <= 0; };
    Trainer(run.parts, options.loop).run();
  }
  CheckpointStore store(folder.path("run/checkpoints"), 2);
  const auto names = store.names();
  ASSERT_GE(names.size(), 2u);
  const std::string broken =
      folder.path("run/checkpoints/" + names.back() + "/weights.safetensors");
  std::filesystem::resize_file(broken, std::filesystem::file_size(broken) - 1);
  std::string warnings;
  set_log_sink([&](LogLevel level, std::string_view text) {
    if (level == LogLevel::warning) warnings += text;
  });
  TinyRun run = make_tiny_run(options);
  Trainer trainer(run.parts, options.loop);
  EXPECT_TRUE(trainer.resume());
  const Outcome end = outcome_of(run, options, trainer.run());
  set_log_sink({});
  EXPECT_THAT(warnings, HasSubstr(names.back() + "/weights.safetensors] has another length"));
  EXPECT_EQ(whole.weights, end.weights);
  EXPECT_EQ(whole.lines, end.lines);
}

TEST(Resume, AnotherModelIsRefusedInOneSentence) {
  const TemporaryFolder folder;
  train_at_once({}, folder.path("run"));
  TinyRunOptions options;
  options.folder = folder.path("run");
  options.width = 6;
  TinyRun run = make_tiny_run(options);
  Trainer trainer(run.parts, options.loop);
  const std::string before = test::weight_bytes(*run.net);
  EXPECT_THAT(message_of([&] { trainer.resume(); }), HasSubstr("is not the weights of this model"));
  EXPECT_EQ(test::weight_bytes(*run.net), before);
}

TEST(Resume, AnotherBatchSizeIsRefused) {
  const TemporaryFolder folder;
  train_at_once({}, folder.path("run"));
  TinyRunOptions options;
  options.folder = folder.path("run");
  options.batch_size = 10;
  TinyRun run = make_tiny_run(options);
  Trainer trainer(run.parts, options.loop);
  EXPECT_THAT(
      message_of([&] { trainer.resume(); }),
      HasSubstr("of another data set or batch size. Expected 5 batches an epoch. Received 7"));
}

TEST(Resume, WithoutACheckpointTheLogsBeginAgain) {
  const TemporaryFolder folder;
  TinyRunOptions options;
  options.folder = folder.path("run");
  TinyRun run = make_tiny_run(options);
  run.parts.recorders[0]->record(Measured{"train", 1, 1, 0.1, {}, 0, 0});
  Trainer trainer(run.parts, options.loop);
  EXPECT_FALSE(trainer.resume());
  EXPECT_EQ(test::read_text(folder.path("run/metrics.jsonl")), "");
}

}  // namespace
}  // namespace residua
