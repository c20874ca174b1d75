#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/data/loader.h"
#include "residua/train/tasks/classification.h"
#include "residua/train/tasks/classification_review.h"

namespace residua {
namespace {

at::Tensor some_logits() {
  torch::manual_seed(5);
  return torch::randn({6, 7}) * 3;
}

Batch batch_with(const at::Tensor& label, const at::Tensor& target) {
  Batch batch;
  batch.input = torch::zeros({label.size(0), 1});
  batch.label = label;
  batch.target = target;
  for (int64_t i = 0; i < label.size(0); ++i) batch.indices.push_back(i);
  return batch;
}

Network giving(const at::Tensor& logits) {
  return {std::make_shared<torch::nn::Module>(), [logits](const at::Tensor&) { return logits; }};
}

// The definition, term by term in double precision.
double cross_entropy_by_hand(const at::Tensor& logits, const at::Tensor& soft, double smoothing) {
  const auto x = logits.to(at::kDouble);
  double sum = 0;
  for (int64_t i = 0; i < x.size(0); ++i) {
    double normaliser = 0;
    for (int64_t c = 0; c < x.size(1); ++c) normaliser += std::exp(x[i][c].item<double>());
    for (int64_t c = 0; c < x.size(1); ++c) {
      const double t =
          soft[i][c].item<double>() * (1 - smoothing) + smoothing / static_cast<double>(x.size(1));
      sum -= t * (x[i][c].item<double>() - std::log(normaliser));
    }
  }
  return sum / static_cast<double>(x.size(0));
}

TEST(SoftCrossEntropy, EqualsTheDefinition) {
  const at::Tensor logits = some_logits();
  const at::Tensor soft = torch::softmax(torch::randn({6, 7}), 1);
  const at::Tensor label = torch::tensor({0, 6, 3, 3, 1, 5}, at::kLong);
  const at::Tensor hard = torch::one_hot(label, 7).to(at::kFloat);
  for (const double smoothing : {0.0, 0.1}) {
    // 1e-5: float32 sum of 42 terms of size about 5, measured 6e-7.
    EXPECT_NEAR(soft_cross_entropy(logits, soft, smoothing).item<double>(),
                cross_entropy_by_hand(logits, soft, smoothing), 1e-5);
    EXPECT_NEAR(soft_cross_entropy(logits, label, smoothing).item<double>(),
                cross_entropy_by_hand(logits, hard, smoothing), 1e-5);
  }
}

TEST(SoftCrossEntropy, EqualsLibtorchs) {
  namespace F = torch::nn::functional;
  const at::Tensor label = torch::tensor({0, 6, 3, 3, 1, 5}, at::kLong);
  const auto reference =
      F::cross_entropy(some_logits(), label, F::CrossEntropyFuncOptions().label_smoothing(0.2));
  EXPECT_NEAR(soft_cross_entropy(some_logits(), label, 0.2).item<double>(),
              reference.item<double>(), 1e-5);
}

TEST(TopK, EqualsSorting) {
  const at::Tensor logits = some_logits();
  const at::Tensor label = torch::tensor({0, 6, 3, 3, 1, 5}, at::kLong);
  for (int64_t k = 1; k <= 7; ++k) {
    const at::Tensor found = std::get<1>(logits.topk(k, 1)).eq(label.unsqueeze(1)).any(1);
    EXPECT_DOUBLE_EQ(top_k_accuracy(logits, label, k), found.to(at::kDouble).mean().item<double>())
        << k;
  }
}

TEST(TopK, TiesGoToTheLowerClassAndNaNIsMissed) {
  const at::Tensor equal = torch::zeros({1, 4});
  EXPECT_EQ(top_k_accuracy(equal, torch::tensor({0}, at::kLong), 1), 1);
  EXPECT_EQ(top_k_accuracy(equal, torch::tensor({1}, at::kLong), 1), 0);
  EXPECT_EQ(top_k_accuracy(equal, torch::tensor({1}, at::kLong), 2), 1);
  EXPECT_EQ(top_k_accuracy(equal * std::nan(""), torch::tensor({0}, at::kLong), 1), 0);
}

TEST(ClassificationTask, SmoothsInTrainingOnly) {
  const at::Tensor label = torch::tensor({0, 6, 3, 3, 1, 5}, at::kLong);
  const ClassificationTask task({.label_smoothing = 0.3});
  const Batch batch = batch_with(label, label);
  const auto trained = task.step(giving(some_logits()), batch, Phase::train);
  const auto tested = task.step(giving(some_logits()), batch, Phase::test);
  EXPECT_FLOAT_EQ(trained.loss.item<float>(),
                  soft_cross_entropy(some_logits(), label, 0.3).item<float>());
  EXPECT_FLOAT_EQ(tested.loss.item<float>(),
                  soft_cross_entropy(some_logits(), label, 0).item<float>());
  EXPECT_EQ(tested.metrics.size(), 3u);
}

TEST(ClassificationTask, RefusesLabelsOutOfRangeAndOtherShapes) {
  const ClassificationTask task;
  const at::Tensor bad = torch::tensor({0, 7, 3, 3, 1, 5}, at::kLong),
                   good = torch::zeros({6}, at::kLong);
  EXPECT_THROW(task.step(giving(some_logits()), batch_with(bad, bad), Phase::test), Error);
  EXPECT_THROW(
      task.step(giving(some_logits()), batch_with(good, torch::ones({6, 3})), Phase::train), Error);
  EXPECT_THROW(task.step(giving(torch::zeros({6, 7, 1})), batch_with(good, good), Phase::test),
               Error);
}

TEST(ClassificationReview, KeepsTheSurestMistakes) {
  ClassificationReview review(3, 4, 2);
  const at::Tensor logits =
      torch::tensor({{5.0f, 0.f, 0.f}, {0.f, 1.f, 0.f}, {0.f, 9.f, 0.f}, {0.f, 0.f, 3.f}});
  const at::Tensor label = torch::tensor({0, 2, 0, 0}, at::kLong);
  StepResult result;
  result.output = logits;
  review.begin();
  review.add(batch_with(label, label), result);
  EXPECT_FALSE(review.findings().has_value());
  review.end();
  const ClassificationFindings& found = *review.findings();
  EXPECT_EQ(found.confusion.count(0, 0), 1);
  EXPECT_EQ(found.confusion.count(0, 1), 1);
  ASSERT_EQ(found.mistakes.size(), 2u);
  EXPECT_EQ(found.mistakes[0].index, 2);
  EXPECT_EQ(found.mistakes[1].index, 3);
  EXPECT_EQ(found.samples.size(), 2u);
  EXPECT_NEAR(found.mistakes[0].top[0].second, std::exp(9) / (std::exp(9) + 2), 1e-12);
}

}  // namespace
}  // namespace residua
