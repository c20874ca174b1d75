#include "residua/nn/batch_norm.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/batch_norm_fused.h"

namespace residua {
namespace {

// What one training step computes, in the order: y, dx, dweight, dbias, dresidual, running_mean,
// running_var.
using Results = std::vector<at::Tensor>;
constexpr std::array kResultNames{"y",         "dx",           "dweight",    "dbias",
                                  "dresidual", "running_mean", "running_var"};

struct BatchNormCase {
  int64_t n, channels, height, width;
  bool relu, residual;
  double offset = 0;  // of the input: far from zero, variances cancel
};

void PrintTo(const BatchNormCase& c, std::ostream* out) {
  *out << c.n << "x" << c.channels << "x" << c.height << "x" << c.width << (c.relu ? " relu" : "")
       << (c.residual ? " residual" : "") << " offset " << c.offset;
}

struct Inputs {
  at::Tensor x, residual, weight, bias, dy;
};

Inputs make_inputs(const BatchNormCase& c) {
  torch::manual_seed(7);
  const std::vector<int64_t> sizes{c.n, c.channels, c.height, c.width};
  Inputs in;
  in.x = torch::randn(sizes) * 2 + c.offset;
  in.residual = torch::randn(sizes);
  in.weight = torch::rand({c.channels}) + 0.5;
  in.bias = torch::randn({c.channels});
  in.dy = torch::randn(sizes);
  return in;
}

std::shared_ptr<BatchNorm2d> make_layer(const Inputs& in, at::ScalarType type) {
  auto bn = std::make_shared<BatchNorm2d>(in.weight.size(0), 1e-5, 0.1);
  bn->to(type);
  torch::NoGradGuard no_grad;
  bn->weight.copy_(in.weight);
  bn->bias.copy_(in.bias);
  return bn;
}

Results train_once(BatchNorm2d& bn, const Inputs& in, const BatchNormCase& c, at::ScalarType type,
                   bool last) {
  const auto layout = last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  at::Tensor x = in.x.to(type).contiguous(layout).requires_grad_();
  at::Tensor residual =
      c.residual ? in.residual.to(type).contiguous(layout).requires_grad_() : at::Tensor();
  const at::Tensor y = batch_norm_act(bn, x, c.relu ? Act::relu : Act::none, residual);
  y.backward(in.dy.to(type).contiguous(layout));
  return {y.detach(),
          x.grad(),
          bn.weight.grad(),
          bn.bias.grad(),
          c.residual ? residual.grad() : at::Tensor(),
          bn.running_mean,
          bn.running_var};
}

// The reference: batch normalisation written out in double precision, differentiated by autograd.
Results reference(const Inputs& in, const BatchNormCase& c) {
  at::Tensor x = in.x.to(torch::kDouble).requires_grad_(),
             residual = in.residual.to(torch::kDouble).requires_grad_();
  at::Tensor weight = in.weight.to(torch::kDouble).requires_grad_(),
             bias = in.bias.to(torch::kDouble).requires_grad_();
  const at::Tensor mean = x.mean({0, 2, 3}, true),
                   variance = (x - mean).square().mean({0, 2, 3}, true);
  at::Tensor y =
      (x - mean) / (variance + 1e-5).sqrt() * weight.view({1, -1, 1, 1}) + bias.view({1, -1, 1, 1});
  if (c.residual) y = y + residual;
  if (c.relu) y = y.relu();
  y.backward(in.dy.to(torch::kDouble));
  const double m = static_cast<double>(x.numel() / x.size(1));
  return {y.detach(),
          x.grad(),
          weight.grad(),
          bias.grad(),
          c.residual ? residual.grad() : at::Tensor(),
          0.1 * mean.detach().flatten(),
          0.9 + 0.1 * variance.detach().flatten() * m / (m - 1)};
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor reference_value = b.to(torch::kDouble);
  return ((a.to(torch::kDouble) - reference_value).norm() / (reference_value.norm() + 1e-12))
      .item<double>();
}

void expect_close(const Results& ours, const Results& theirs, double tolerance) {
  for (size_t i = 0; i < ours.size(); ++i) {
    ASSERT_EQ(ours[i].defined(), theirs[i].defined()) << kResultNames[i];
    if (!ours[i].defined()) continue;
    EXPECT_LT(relative_error(ours[i], theirs[i]), tolerance) << kResultNames[i];
  }
}

class BatchNormSizes : public testing::TestWithParam<BatchNormCase> {};

void check_fused_float(const BatchNormCase& c, double tolerance) {
  const Inputs in = make_inputs(c);
  const auto bn = make_layer(in, torch::kFloat);
  ASSERT_TRUE(can_fuse_batch_norm(*bn, in.x.contiguous(at::MemoryFormat::ChannelsLast)));
  expect_close(train_once(*bn, in, c, torch::kFloat, true), reference(in, c), tolerance);
  EXPECT_EQ(bn->num_batches_tracked.item<int64_t>(), 1);
}

TEST_P(BatchNormSizes, FusedFloatEqualsDoubleReference) {
  check_fused_float(GetParam(),
                    1e-5);  // float32 rounding, measured 4.7e-6 for a running mean near zero
}

TEST_P(BatchNormSizes, FusedBfloat16EqualsDoubleReferenceOfRoundedInputs) {
  const BatchNormCase c = GetParam();
  Inputs in = make_inputs(c);
  for (at::Tensor* t : {&in.x, &in.residual, &in.dy})
    *t = t->to(torch::kBFloat16).to(torch::kFloat);
  const auto bn = make_layer(in, torch::kFloat);
  const Results ours = train_once(*bn, in, c, torch::kBFloat16, true);
  EXPECT_EQ(ours[0].scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(ours[0].is_contiguous(at::MemoryFormat::ChannelsLast));
  // 4e-3: half a unit of bfloat16's 8 bits; sums are float32, so parameters' gradients are as exact
  // as their terms.
  expect_close(ours, reference(in, c), 4e-3);
}

TEST_P(BatchNormSizes, TensorPathInDoubleEqualsReference) {
  const BatchNormCase c = GetParam();
  const Inputs in = make_inputs(c);
  const auto bn = make_layer(in, torch::kDouble);
  expect_close(train_once(*bn, in, c, torch::kDouble, false), reference(in, c), 1e-9);
}

TEST_P(BatchNormSizes, EvaluationUsesRunningStatistics) {
  const BatchNormCase c = GetParam();
  const Inputs in = make_inputs(c);
  const auto bn = make_layer(in, torch::kFloat);
  bn->running_mean.normal_();
  bn->running_var.uniform_(0.5, 2);
  bn->eval();
  torch::NoGradGuard no_grad;
  const at::Tensor residual = c.residual ? in.residual : at::Tensor();
  const Act act = c.relu ? Act::relu : Act::none;
  const at::Tensor fused =
      batch_norm_act(*bn, in.x.contiguous(at::MemoryFormat::ChannelsLast), act, residual);
  const at::Tensor plain = batch_norm_act(*bn, in.x.contiguous(), act, residual);
  EXPECT_LT(relative_error(fused, plain), 1e-6);
  EXPECT_EQ(bn->num_batches_tracked.item<int64_t>(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, BatchNormSizes,
    testing::Values(
        BatchNormCase{5, 1, 1, 1, false, false}, BatchNormCase{3, 1, 5, 7, true, false},
        BatchNormCase{2, 3, 4, 5, true, true}, BatchNormCase{4, 16, 9, 9, true, true},
        BatchNormCase{4, 16, 32, 32, true, false}, BatchNormCase{3, 17, 6, 5, false, true},
        BatchNormCase{2, 17, 13, 11, true, true}, BatchNormCase{4, 64, 8, 8, true, true},
        BatchNormCase{2, 64, 56, 56, true, false}, BatchNormCase{2, 95, 7, 3, true, false},
        BatchNormCase{4, 256, 7, 7, false, false}, BatchNormCase{2, 2048, 7, 7, true, true}));

TEST(BatchNorm, VarianceDoesNotCancelFarFromZero) {
  check_fused_float({4, 16, 32, 32, true, false, 30}, 1e-5);
  // 3e-4: at 1000 times its deviation x itself has three digits fewer.
  check_fused_float({4, 24, 16, 16, false, true, 2000}, 3e-4);
}

TEST(BatchNorm, GradientsOfTheTensorPathAgreeWithDifferences) {
  torch::manual_seed(3);
  const at::Tensor x = torch::randn({3, 2, 3, 2}, torch::kDouble), dy = torch::randn_like(x);
  const at::Tensor residual = torch::randn_like(x), direction = torch::randn_like(x);
  auto bn = std::make_shared<BatchNorm2d>(2);
  bn->to(torch::kDouble);
  const auto loss = [&](const at::Tensor& at) {
    return (batch_norm_act(*bn, at, Act::none, residual) * dy).sum();
  };
  at::Tensor variable = x.clone().requires_grad_();
  loss(variable).backward();
  const double h = 1e-6;
  const double slope =
      ((loss(x + h * direction) - loss(x - h * direction)) / (2 * h)).item<double>();
  EXPECT_NEAR(slope, (variable.grad() * direction).sum().item<double>(), 1e-7);
}

TEST(BatchNorm, SumsDoNotDependOnThreads) {
  const BatchNormCase c{4, 33, 29, 31, true, true};
  const Inputs in = make_inputs(c);
  const int threads = at::get_num_threads();
  std::vector<Results> runs;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const auto bn = make_layer(in, torch::kFloat);
    runs.push_back(train_once(*bn, in, c, torch::kFloat, true));
  }
  at::set_num_threads(threads);
  for (size_t run = 1; run < runs.size(); ++run)
    for (size_t i = 0; i < runs[0].size(); ++i)
      EXPECT_TRUE(runs[0][i].equal(runs[run][i])) << kResultNames[i];
}

TEST(BatchNorm, NotANumberIsNotHiddenByTheRelu) {
  const auto bn = std::make_shared<BatchNorm2d>(16);
  at::Tensor x = torch::randn({2, 16, 4, 4}).contiguous(at::MemoryFormat::ChannelsLast);
  x[0][3][1][1] = std::nan("");
  const at::Tensor y = batch_norm_act(*bn, x, Act::relu);
  EXPECT_TRUE(y.select(1, 3).isnan().all().item<bool>());
  EXPECT_FALSE(y.select(1, 2).isnan().any().item<bool>());
}

TEST(BatchNorm, AcceptsGradientsOfOtherLayoutsAndExpanded) {
  const BatchNormCase c{4, 16, 8, 8, true, false};
  const Inputs in = make_inputs(c);
  const auto one = make_layer(in, torch::kFloat), other = make_layer(in, torch::kFloat);
  at::Tensor a = in.x.contiguous(at::MemoryFormat::ChannelsLast).requires_grad_(),
             b = in.x.clone().requires_grad_();
  batch_norm_act(*one, a, Act::relu).sum().backward();
  batch_norm_act(*other, b, Act::relu).sum().backward();
  EXPECT_LT(relative_error(one->weight.grad(), other->weight.grad()), 1e-5);
  EXPECT_LT((a.grad() - b.grad()).abs().max().item<double>(), 1e-5);
}

TEST(BatchNorm, RefusesWhatDoesNotFit) {
  const auto bn = std::make_shared<BatchNorm2d>(4);
  const auto kind = [&](const at::Tensor& x, const at::Tensor& residual) {
    try {
      batch_norm_act(*bn, x, Act::none, residual);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::internal;
  };
  EXPECT_EQ(kind(torch::zeros({2, 3, 4, 4}), {}), ErrorKind::shape);
  EXPECT_EQ(kind(torch::zeros({2, 4}), {}), ErrorKind::shape);
  EXPECT_EQ(kind(torch::zeros({1, 4, 1, 1}), {}), ErrorKind::shape);
  EXPECT_EQ(kind(torch::zeros({2, 4, 4, 4}), torch::zeros({2, 4, 2, 4})), ErrorKind::shape);
}

}  // namespace
}  // namespace residua
