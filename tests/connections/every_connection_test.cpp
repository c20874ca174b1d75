// What every connection must do on every carrier that it can ride, at toy size.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <set>
#include <tuple>

#include "carriers.h"
#include "residua/core/error.h"

namespace residua {
namespace {

using Ride = std::tuple<TinyCarrier, TinyConnection>;

class EveryConnection : public testing::TestWithParam<Ride> {
 protected:
  void SetUp() override {
    try {
      model_ = carrier().make(connection().component);
    } catch (const Error& e) {
      ASSERT_EQ(e.kind(), ErrorKind::unsupported) << e.what();
      EXPECT_EQ(e.text().where, "connection");
      const std::string rule = e.text().rule, says = " does not ride a ";
      const size_t at = rule.find(says), colon = rule.find(": ");
      ASSERT_NE(at, std::string::npos) << rule;
      ASSERT_NE(colon, std::string::npos) << rule;
      EXPECT_GT(rule.size(), colon + 10) << "refuses without a reason";
      GTEST_SKIP() << rule;
    }
    ASSERT_NE(model_, nullptr);
    // Away from first weights at zero, behind which nothing has a gradient yet.
    const at::NoGradGuard no_grad;
    torch::manual_seed(3);
    for (at::Tensor& p : model_->parameters()) p.add_(0.1 * torch::randn_like(p));
  }

  static const TinyCarrier& carrier() { return std::get<0>(GetParam()); }
  static const TinyConnection& connection() { return std::get<1>(GetParam()); }

  at::Tensor evaluated(const at::Tensor& x) {
    const at::NoGradGuard no_grad;
    model_->eval();
    return model_->forward(x);
  }

  // A number of the output, and of the penalty, of a training pass that draws from this seed.
  at::Tensor loss(const at::Tensor& x, uint64_t seed) {
    torch::manual_seed(seed);
    const at::Tensor y = model_->forward(x);
    const at::Tensor weights = torch::linspace(-1, 2, y.size(-1), y.options());
    const at::Tensor losses = (y * weights).square().flatten(1).mean(1);
    const at::Tensor penalty = model_->extras(losses.detach()).penalty;
    return penalty.defined() ? losses.mean() + penalty : losses.mean();
  }

  std::shared_ptr<StreamModel> model_;
};

TEST_P(EveryConnection, GivesFiniteOutputsOfTheRightShape) {
  const at::Tensor x = carrier().input(4);
  for (const bool training : {true, false}) {
    model_->train(training);
    const at::Tensor y = model_->forward(x);
    EXPECT_EQ(y.sizes().vec(), (std::vector<int64_t>{4, 5}));
    EXPECT_TRUE(y.isfinite().all().item<bool>());
  }
}

TEST_P(EveryConnection, EveryParameterLearns) {
  model_->train();
  const at::Tensor x = carrier().input(8);
  std::set<std::string> waiting;
  for (const auto& p : model_->named_parameters()) waiting.insert(p.key());
  // Random connections do not use every parameter in every pass.
  for (uint64_t seed = 0; seed < 40 && !waiting.empty(); ++seed) {
    loss(x, seed).backward();
    for (const auto& p : model_->named_parameters()) {
      const at::Tensor gradient = p.value().grad();
      if (!gradient.defined()) continue;
      ASSERT_TRUE(gradient.isfinite().all().item<bool>()) << p.key();
      if (gradient.abs().sum().item<double>() > 0) waiting.erase(p.key());
    }
  }
  for (const std::string& name : waiting) ADD_FAILURE() << name << " has no gradient";
}

TEST_P(EveryConnection, EqualSeedsGiveEqualNumbers) {
  const at::Tensor x = carrier().input(4);
  const auto again = carrier().make(connection().component);
  const auto values = model_->named_parameters();
  {
    const at::NoGradGuard no_grad;
    for (auto& p : again->named_parameters()) p.value().copy_(values[p.key()]);
  }
  for (const bool training : {true, false}) {
    model_->train(training);
    again->train(training);
    torch::manual_seed(5);
    const at::Tensor first = model_->forward(x);
    torch::manual_seed(5);
    EXPECT_TRUE(first.equal(again->forward(x)));
  }
}

TEST_P(EveryConnection, TheStateIsAllThatAPassRemembers) {
  for (const bool training : {true, false}) {
    model_->train(training);
    int64_t visits = 0;
    model_->visit_sites([&](const Site&, const State& state) {
      ++visits;
      const std::vector<at::Tensor> tensors = state.flatten();
      for (const at::Tensor& t : tensors) EXPECT_TRUE(t.defined());
      const State same = state.unflatten(tensors);
      EXPECT_EQ(same.streams.size(), state.streams.size());
      ASSERT_EQ(same.memo.size(), state.memo.size());
      for (const auto& [name, tensor] : state.memo) EXPECT_TRUE(same.memo.at(name).is_same(tensor));
      std::vector<at::Tensor> copies = tensors;
      for (at::Tensor& t : copies) t = t.clone();
      const at::Tensor output = model_->connection().finish(state);
      EXPECT_TRUE(model_->connection().finish(state.unflatten(copies)).equal(output));
      copies.pop_back();
      EXPECT_THROW(state.unflatten(copies), Error);
    });
    torch::manual_seed(2);
    model_->forward(carrier().input(2));
    model_->visit_sites({});
    if (!model_->connection().drives())
      EXPECT_EQ(visits, static_cast<int64_t>(model_->schedule().size()));
  }
}

TEST_P(EveryConnection, SamplesDoNotSeeOneAnotherInEvaluation) {
  if (!connection().independent_samples) GTEST_SKIP() << "chooses for the whole batch";
  const at::Tensor x = carrier().input(5), y = evaluated(x);
  const double scale = y.abs().max().item<double>();
  for (int64_t i = 0; i < x.size(0); ++i) {
    const at::Tensor alone = evaluated(x.slice(0, i, i + 1));
    // 1e-5: float32 sums in another order for another batch size.
    EXPECT_LE((alone - y.slice(0, i, i + 1)).abs().max().item<double>(), 1e-5 * scale) << i;
  }
}

TEST_P(EveryConnection, GradientsAreThoseOfFiniteDifferences) {
  if (carrier().label != "mlp") GTEST_SKIP() << "checked on the MLP";
  if (!connection().differentiable) GTEST_SKIP() << "decides";
  model_->to(at::kDouble);
  model_->train();
  const at::Tensor x = carrier().input(6).to(at::kDouble);
  for (const uint64_t seed : {1, 2, 3}) {
    model_->zero_grad();
    loss(x, seed).backward();
    for (auto& p : model_->named_parameters()) {
      const at::Tensor gradient =
          p.value().grad().defined() ? p.value().grad() : torch::zeros_like(p.value());
      const at::NoGradGuard no_grad;
      const at::Tensor start = p.value().clone(), random = torch::randn_like(start);
      const at::Tensor direction = random / random.norm() + gradient / (gradient.norm() + 1e-12);
      const double expected = (gradient * direction).sum().item<double>(), step = 1e-6;
      p.value().copy_(start + step * direction);
      const double above = loss(x, seed).item<double>();
      p.value().copy_(start - step * direction);
      const double below = loss(x, seed).item<double>();
      p.value().copy_(start);
      // 1e-5: rounding of the loss over the step, and curvature times the step squared.
      EXPECT_NEAR((above - below) / (2 * step), expected,
                  1e-5 * (1 + gradient.norm().item<double>()))
          << p.key();
    }
  }
}

TEST(Connections, RideSomething) {
  for (const TinyConnection& connection : tiny_connections()) {
    int64_t rides = 0;
    for (const TinyCarrier& carrier : tiny_carriers()) {
      try {
        carrier.make(connection.component);
        ++rides;
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::unsupported) << e.what();
      }
    }
    EXPECT_GT(rides, 0) << connection.label();
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, EveryConnection,
                         testing::Combine(testing::ValuesIn(tiny_carriers()),
                                          testing::ValuesIn(tiny_connections())),
                         [](const auto& info) {
                           return std::get<0>(info.param).label + "_" +
                                  std::get<1>(info.param).label();
                         });

}  // namespace
}  // namespace residua
