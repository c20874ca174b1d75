// What every connection must do on every carrier that it can ride, at toy size.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <set>

#include "carriers.h"
#include "residua/core/error.h"
#include "residua/models/token_model.h"

namespace residua {
namespace {

// A connection on a carrier; null where it refuses to ride, with a reason.
std::shared_ptr<StreamModel> ride(const TinyCarrier& carrier, const TinyConnection& connection) {
  std::shared_ptr<StreamModel> model;
  try {
    model = carrier.make(connection.component);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::unsupported) << e.what();
    EXPECT_EQ(e.text().where, "connection");
    const std::string& rule = e.text().rule;
    const size_t reason = rule.find(": ");
    EXPECT_NE(rule.find(" does not ride a "), std::string::npos) << rule;
    EXPECT_TRUE(reason != std::string::npos && rule.size() > reason + 10) << rule;
    return nullptr;
  }
  // Away from first weights at zero, behind which nothing has a gradient yet.
  const at::NoGradGuard no_grad;
  torch::manual_seed(3);
  for (at::Tensor& p : model->parameters()) p.add_(0.1 * torch::randn_like(p));
  return model;
}

class EveryConnection : public testing::TestWithParam<TinyConnection> {
 protected:
  // Calls `check(carrier, model)` on every carrier that the connection rides.
  template <class Check>
  void on_every_carrier(const Check& check) {
    int64_t rides = 0;
    for (const TinyCarrier& carrier : tiny_carriers()) {
      SCOPED_TRACE(carrier.label);
      const auto model = ride(carrier, GetParam());
      if (!model) continue;
      ++rides;
      check(carrier, *model);
    }
    EXPECT_GT(rides, 0) << "rides nothing";
  }
};

at::Tensor evaluated_stream(StreamModel& model, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  model.eval();
  return model.forward(x);
}

// A number of the output, and of the penalty, of a pass that draws from this seed.
at::Tensor toy_loss(StreamModel& model, const at::Tensor& x, uint64_t seed) {
  torch::manual_seed(seed);
  const at::Tensor y = model.forward(x);
  const at::Tensor weights = torch::linspace(-1, 2, y.size(-1), y.options());
  const at::Tensor losses = (y * weights).square().flatten(1).mean(1);
  const at::Tensor penalty = model.extras(losses.detach()).penalty;
  return penalty.defined() ? losses.mean() + penalty : losses.mean();
}

TEST_P(EveryConnection, GivesFiniteOutputsThatDependOnTheSeedAlone) {
  on_every_carrier([&](const TinyCarrier& carrier, StreamModel& model) {
    const at::Tensor x = carrier.input(4);
    const auto again = carrier.make(GetParam().component);
    copy_weights(model, *again);
    for (const bool training : {true, false}) {
      model.train(training);
      again->train(training);
      torch::manual_seed(5);
      const at::Tensor y = model.forward(x);
      EXPECT_EQ(y.sizes().vec(), carrier.output(4));
      EXPECT_TRUE(y.isfinite().all().item<bool>());
      torch::manual_seed(5);
      EXPECT_TRUE(y.equal(again->forward(x)));
    }
  });
}

void check_state(const Connection& connection, const State& state) {
  const std::vector<at::Tensor> tensors = state.flatten();
  for (const at::Tensor& t : tensors) EXPECT_TRUE(t.defined());
  const State same = state.unflatten(tensors);
  EXPECT_EQ(same.streams.size(), state.streams.size());
  ASSERT_EQ(same.memo.size(), state.memo.size());
  for (const auto& [name, tensor] : state.memo) EXPECT_TRUE(same.memo.at(name).is_same(tensor));
  std::vector<at::Tensor> copies = tensors;
  for (at::Tensor& t : copies) t = t.clone();
  auto& finishes = const_cast<Connection&>(connection);
  EXPECT_TRUE(finishes.finish(state.unflatten(copies)).equal(finishes.finish(state)));
  copies.pop_back();
  EXPECT_THROW(state.unflatten(copies), Error);
}

TEST_P(EveryConnection, TheStateIsAPlainValue) {
  on_every_carrier([](const TinyCarrier& carrier, StreamModel& model) {
    for (const bool training : {true, false}) {
      model.train(training);
      size_t visits = 0;
      model.visit_sites([&](const Site&, const State& state) {
        ++visits;
        check_state(model.connection(), state);
      });
      torch::manual_seed(2);
      model.forward(carrier.input(2));
      model.visit_sites({});
      if (model.connection().drives()) continue;
      EXPECT_EQ(visits, model.schedule().size());
    }
  });
}

TEST_P(EveryConnection, SamplesDoNotSeeOneAnotherInEvaluation) {
  if (!GetParam().independent_samples) GTEST_SKIP() << "chooses for the whole batch";
  on_every_carrier([](const TinyCarrier& carrier, StreamModel& model) {
    const at::Tensor x = carrier.input(5), y = evaluated_stream(model, x);
    const double scale = y.abs().max().item<double>();
    for (int64_t i = 0; i < x.size(0); ++i) {
      const at::Tensor alone = evaluated_stream(model, x.slice(0, i, i + 1));
      // 1e-5: float32 sums in another order for another batch size.
      EXPECT_LE((alone - y.slice(0, i, i + 1)).abs().max().item<double>(), 1e-5 * scale) << i;
    }
  });
}

// The weights that the model had, and noise.
void disturb(StreamModel& model, const std::vector<at::Tensor>& start, uint64_t seed) {
  const at::NoGradGuard no_grad;
  torch::manual_seed(seed);
  std::vector<at::Tensor> parameters = model.parameters();
  for (size_t i = 0; i < start.size(); ++i)
    parameters[i].copy_(start[i] + 0.3 * torch::randn_like(start[i]));
}

TEST_P(EveryConnection, TokensOneByOneAreTheWholeText) {
  const TinyCarrier& carrier = tiny_carrier("gpt");
  const auto model = ride(carrier, GetParam());
  if (!model) GTEST_SKIP() << "does not ride a GPT";
  TokenModel& tokens = token_model(*model);
  if (!tokens.decodes()) GTEST_SKIP() << "does not decode";
  const at::NoGradGuard no_grad;
  const at::Tensor x = carrier.input(3), whole = evaluated_stream(*model, x);
  DecodeCache cache;
  for (int64_t t = 0; t < x.size(1); ++t) {
    const at::Tensor y = tokens.decode(x.slice(1, t, t + 1), cache);
    EXPECT_TRUE(torch::allclose(y.select(1, 0), whole.select(1, t), 1e-4, 1e-5)) << t;
  }
}

TEST_P(EveryConnection, EveryParameterLearns) {
  on_every_carrier([](const TinyCarrier& carrier, StreamModel& model) {
    model.train();
    std::vector<at::Tensor> start;
    std::set<std::string> waiting;
    for (const auto& p : model.named_parameters()) {
      waiting.insert(p.key());
      start.push_back(p.value().detach().clone());
    }
    // Connections that decide do not use every parameter in every pass.
    for (uint64_t seed = 0; seed < 200 && !waiting.empty(); ++seed) {
      disturb(model, start, seed);
      toy_loss(model, carrier.input(8, seed), seed).backward();
      for (const auto& p : model.named_parameters()) {
        const at::Tensor gradient = p.value().grad();
        if (!gradient.defined()) continue;
        ASSERT_TRUE(gradient.isfinite().all().item<bool>()) << p.key();
        if (gradient.abs().sum().item<double>() > 0) waiting.erase(p.key());
      }
    }
    for (const std::string& name : waiting) ADD_FAILURE() << name << " has no gradient";
  });
}

TEST_P(EveryConnection, TrainingLowersTheLoss) {
  int64_t trained = 0;
  on_every_carrier([&](const TinyCarrier& carrier, StreamModel& model) {
    if (++trained > 2) return;  // two carriers will do
    const at::Tensor x = carrier.input(16);
    // Of images any class, of tokens themselves.
    const at::Tensor label = x.dim() == 2 ? x : torch::arange(16) % 5;
    const auto losses = [&] {
      const at::Tensor log_p = torch::log_softmax(model.forward(x), -1);
      return -log_p.gather(-1, label.unsqueeze(-1)).flatten(1).mean(1);
    };
    const auto evaluated = [&] {
      const at::NoGradGuard no_grad;
      model.train();  // with the batch's own statistics
      double sum = 0;
      for (uint64_t seed = 100; seed < 104; ++seed) {
        torch::manual_seed(seed);
        sum += losses().mean().item<double>();
      }
      return sum / 4;
    };
    const double before = evaluated();
    torch::optim::SGD sgd(model.parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));
    for (uint64_t step = 0; step < static_cast<uint64_t>(GetParam().steps); ++step) {
      torch::manual_seed(step);
      const at::Tensor sample_losses = losses();
      const at::Tensor penalty = model.extras(sample_losses.detach()).penalty;
      sgd.zero_grad();
      (penalty.defined() ? sample_losses.mean() + penalty : sample_losses.mean()).backward();
      sgd.step();
    }
    EXPECT_LT(evaluated(), 0.9 * before);
  });
}

// Central differences along the gradient plus a random direction.
void check_gradient(StreamModel& model, const at::Tensor& x, uint64_t seed) {
  model.zero_grad();
  toy_loss(model, x, seed).backward();
  for (auto& p : model.named_parameters()) {
    const at::Tensor gradient =
        p.value().grad().defined() ? p.value().grad().clone() : torch::zeros_like(p.value());
    const at::NoGradGuard no_grad;
    const at::Tensor start = p.value().clone(), random = torch::randn_like(start);
    const at::Tensor direction = random / random.norm() + gradient / (gradient.norm() + 1e-12);
    const double expected = (gradient * direction).sum().item<double>(), step = 1e-6;
    p.value().copy_(start + step * direction);
    const double above = toy_loss(model, x, seed).item<double>();
    p.value().copy_(start - step * direction);
    const double below = toy_loss(model, x, seed).item<double>();
    p.value().copy_(start);
    // 1e-5: rounding of the loss over the step, and curvature times the step squared.
    EXPECT_NEAR((above - below) / (2 * step), expected, 1e-5 * (1 + gradient.norm().item<double>()))
        << p.key();
  }
}

TEST_P(EveryConnection, GradientsAreThoseOfFiniteDifferences) {
  if (!GetParam().differentiable) GTEST_SKIP() << "decides";
  const TinyCarrier& carrier = tiny_carrier("mlp");
  const auto model = ride(carrier, GetParam());
  if (!model) GTEST_SKIP() << "does not ride an MLP";
  model->to(at::kDouble);
  model->train();
  for (const uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE(seed);
    check_gradient(*model, carrier.input(6).to(at::kDouble), seed);
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, EveryConnection, testing::ValuesIn(tiny_connections()),
                         [](const auto& info) { return info.param.label(); });

}  // namespace
}  // namespace residua
