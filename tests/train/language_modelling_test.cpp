#include "residua/train/tasks/language_modelling.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>

#include "residua/core/error.h"
#include "residua/data/text/windows.h"
#include "residua/train/event_log.h"
#include "residua/train/trainer.h"
#include "tests/train/tiny_run.h"

namespace residua {
namespace {

// A bigram model: row i of the table are the logits after token i; with dropout.
class Bigram final : public torch::nn::Module {
 public:
  explicit Bigram(int64_t vocabulary) {
    table = register_parameter("table", torch::zeros({vocabulary, vocabulary}));
  }
  at::Tensor forward(const at::Tensor& ids) {
    return at::dropout(at::embedding(table, ids), 0.1, is_training());
  }
  at::Tensor table;
};

Batch tiny_batch() {
  Batch batch;
  batch.input = torch::tensor({{0, 1}, {2, 0}}, at::kLong);
  batch.target = batch.label = torch::tensor({{1, 2}, {0, 2}}, at::kLong);
  batch.indices = {0, 1};
  return batch;
}

TEST(LanguageModelling, IsTheMeanLossOfNextTokens) {
  const auto model = std::make_shared<Bigram>(3);
  model->table.detach().copy_(torch::randn({3, 3}));
  model->eval();
  const StepResult r = LanguageModellingTask().step(make_network(model), tiny_batch(), Phase::test);
  const at::Tensor p = at::softmax(model->table.detach().to(at::kDouble), 1);
  double expected = 0;
  for (const auto& [from, to] : {std::pair{0, 1}, {1, 2}, {2, 0}, {0, 2}})
    expected -= std::log(p[from][to].item<double>()) / 4;
  EXPECT_NEAR(metric_value(r.metrics, "loss"), expected, 1e-6);
  EXPECT_NEAR(metric_value(r.metrics, "bits_per_char"), expected / std::log(2.0), 1e-6);
  double right = 0;
  for (const auto& [from, to] : {std::pair{0, 1}, {1, 2}, {2, 0}, {0, 2}})
    right += p[from].argmax().item<int64_t>() == to ? 0.25 : 0;
  EXPECT_EQ(metric_value(r.metrics, "top1"), right);
}

TEST(LanguageModelling, PerplexityIsOfTheMeanLoss) {
  const LanguageModellingTask task;
  EXPECT_NEAR(metric_value(task.derived({{"loss", 1.25}}), "perplexity"), std::exp(1.25), 1e-12);
  EXPECT_EQ(task.best_metric(), "loss");
  EXPECT_FALSE(task.larger_is_better());
}

TEST(LanguageModelling, AddsTheLossesOfExits) {
  const auto model = std::make_shared<Bigram>(3);
  model->eval();
  Network network = make_network(model);
  const LanguageModellingTask task;
  const StepResult plain = task.step(network, tiny_batch(), Phase::train);
  const at::Tensor other = torch::randn({2, 2, 3});
  network.exits = [&] { return std::vector<std::pair<at::Tensor, double>>{{other, 0.5}}; };
  const StepResult with_exit = task.step(network, tiny_batch(), Phase::train);
  const double exit_loss =
      at::cross_entropy_loss(other.flatten(0, 1), tiny_batch().target.flatten()).item<double>();
  EXPECT_NEAR(with_exit.loss.item<double>(), plain.loss.item<double>() + exit_loss / 2, 1e-6);
  EXPECT_NEAR(metric_value(with_exit.metrics, "exit_loss"), exit_loss / 2, 1e-6);
  EXPECT_EQ(metric_value(with_exit.metrics, "loss"), metric_value(plain.metrics, "loss"));
  const StepResult tested = task.step(network, tiny_batch(), Phase::test);
  EXPECT_EQ(tested.loss.item<double>(), plain.loss.item<double>());
}

TEST(LanguageModelling, RefusesOtherShapes) {
  const auto model = std::make_shared<Bigram>(3);
  Batch batch = tiny_batch();
  batch.target = batch.target.narrow(1, 0, 1);
  EXPECT_THROW(LanguageModellingTask().step(make_network(model), batch, Phase::train), Error);
}

struct TextRun {
  std::shared_ptr<Bigram> model;
  TrainerParts parts;
};

TextRun text_run(const std::string& folder) {
  const auto corpus = make_strings(
      {.letters = 4, .word = 6, .length = 600, .validation = 0.2, .steps_per_epoch = 5});
  TextRun run;
  run.model = std::make_shared<Bigram>(corpus->tokenizer->vocabulary());
  run.parts.network = make_network(run.model);
  run.parts.task = std::make_shared<LanguageModellingTask>();
  run.parts.optimizer = optimizers().create({"adamw", {{"lr", 0.1}}}, parameter_groups(*run.model));
  run.parts.schedule = schedules().create("constant");
  run.parts.train = std::make_shared<RandomWindows>(
      corpus, WindowOptions{.batch_size = 4, .context = 8}, Random(3));
  run.parts.test =
      std::make_shared<WindowsInOrder>(corpus, WindowOptions{.batch_size = 4, .context = 8});
  std::filesystem::create_directories(folder);
  run.parts.checkpoints = std::make_shared<CheckpointStore>(folder + "/checkpoints", 2);
  run.parts.recorders = {std::make_shared<JsonLinesLog>(folder + "/metrics.jsonl")};
  return run;
}

LoopOptions text_loop(int64_t epochs) {
  return {.epochs = epochs, .save_every = 1, .log_every = 2};
}

TEST(LanguageModelling, TrainsAndKeepsTheLeastLoss) {
  const test::TemporaryFolder folder;
  const TextRun run = text_run(folder.path("a"));
  Trainer trainer(run.parts, text_loop(4));
  const RunResult result = trainer.run();
  EXPECT_TRUE(result.finished);
  EXPECT_LT(metric_value(result.test, "loss"), std::log(4.0) - 0.2);
  EXPECT_NEAR(metric_value(result.test, "perplexity"), std::exp(metric_value(result.test, "loss")),
              1e-9);
  EXPECT_EQ(result.best_value, metric_value(result.test, "loss"));  // it fell to the end
  EXPECT_NE(test::read_text(folder.path("a") + "/metrics.jsonl").find("tokens_per_second"),
            std::string::npos);
}

TEST(LanguageModelling, GoesOnToTheSameBits) {
  const test::TemporaryFolder folder;
  const TextRun whole = text_run(folder.path("whole"));
  Trainer(whole.parts, text_loop(3)).run();
  for (const int64_t stop_after : {1, 7, 10}) {
    const std::string name = folder.path("stopped" + std::to_string(stop_after));
    TextRun first = text_run(name);
    int64_t steps = 0;
    first.parts.stop = [&] { return ++steps >= stop_after; };
    EXPECT_FALSE(Trainer(first.parts, text_loop(3)).run().finished);
    const TextRun second = text_run(name);
    Trainer trainer(second.parts, text_loop(3));
    ASSERT_TRUE(trainer.resume());
    EXPECT_TRUE(trainer.run().finished);
    EXPECT_EQ(test::weight_bytes(*second.model), test::weight_bytes(*whole.model)) << stop_after;
    EXPECT_EQ(test::timeless_lines(name + "/metrics.jsonl"),
              test::timeless_lines(folder.path("whole") + "/metrics.jsonl"));
  }
}

}  // namespace
}  // namespace residua
