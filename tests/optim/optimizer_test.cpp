#include "residua/optim/optimizer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/optim/adamw.h"
#include "residua/optim/sgd.h"

namespace residua {
namespace {

// Sizes that are no multiple of a vector, a channels-last weight, and one large enough for several
// threads.
std::vector<at::Tensor> make_parameters(at::ScalarType type) {
  torch::manual_seed(11);
  std::vector<at::Tensor> parameters{
      torch::randn({1}), torch::randn({7}), torch::randn({33, 5}),
      torch::randn({6, 3, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast),
      torch::randn({257, 301})};
  for (at::Tensor& p : parameters) p = p.to(type).requires_grad_();
  return parameters;
}

std::vector<ParameterGroup> make_groups(const std::vector<at::Tensor>& p) {
  return {{.names = {"a", "b"}, .parameters = {p[0], p[1]}, .lr_scale = 1, .weight_decay = 0},
          {.names = {"c", "d"}, .parameters = {p[2], p[3]}, .lr_scale = 1, .weight_decay = 0.05},
          {.names = {"e"}, .parameters = {p[4]}, .lr_scale = 0.5, .weight_decay = 0.05}};
}

template <class Options>
std::vector<torch::optim::OptimizerParamGroup> torch_groups(const std::vector<at::Tensor>& p,
                                                            const Options& options, double lr) {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  for (const ParameterGroup& group : make_groups(p)) {
    auto own = std::make_unique<Options>(options);
    own->lr(lr * group.lr_scale).weight_decay(group.weight_decay);
    groups.emplace_back(group.parameters, std::move(own));
  }
  return groups;
}

// The gradient of a step is a fixed function of the step, so both optimisers see the same ones.
void set_gradients(const std::vector<at::Tensor>& parameters, int step) {
  torch::manual_seed(100 + step);
  for (const at::Tensor& p : parameters) p.mutable_grad() = torch::randn_like(p.detach());
}

double largest_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, (a[i] - b[i]).abs().max().item<double>());
  return largest;
}

template <class Theirs>
double compare(Optimizer& ours, Theirs& theirs, const std::vector<at::Tensor>& p,
               const std::vector<at::Tensor>& q) {
  for (int step = 0; step < 20; ++step) {
    set_gradients(p, step);
    set_gradients(q, step);
    ours.step();
    theirs.step();
  }
  return largest_difference(p, q);
}

// Rounding of 20 steps on values of order 1.
double tolerance(at::ScalarType type) { return type == torch::kDouble ? 1e-14 : 3e-6; }

class AgainstTorch : public testing::TestWithParam<at::ScalarType> {};

TEST_P(AgainstTorch, Sgd) {
  for (const SgdOptions& o :
       {SgdOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true},
        SgdOptions{.lr = 0.1, .momentum = 0, .nesterov = false},
        SgdOptions{.lr = 0.05, .momentum = 0.8, .dampening = 0.3, .nesterov = false}}) {
    const auto p = make_parameters(GetParam()), q = make_parameters(GetParam());
    const auto ours = make_sgd(make_groups(p), o);
    auto options = torch::optim::SGDOptions(o.lr)
                       .momentum(o.momentum)
                       .dampening(o.dampening)
                       .nesterov(o.nesterov);
    torch::optim::SGD theirs(torch_groups(q, options, o.lr), options);
    EXPECT_LT(compare(*ours, theirs, p, q), tolerance(GetParam())) << "momentum " << o.momentum;
  }
}

TEST_P(AgainstTorch, AdamW) {
  const AdamWOptions o{.lr = 0.01, .beta1 = 0.85, .beta2 = 0.99, .eps = 1e-6};
  const auto p = make_parameters(GetParam()), q = make_parameters(GetParam());
  const auto ours = make_adamw(make_groups(p), o);
  auto options = torch::optim::AdamWOptions(o.lr).betas({o.beta1, o.beta2}).eps(o.eps);
  torch::optim::AdamW theirs(torch_groups(q, options, o.lr), options);
  EXPECT_LT(compare(*ours, theirs, p, q), tolerance(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Types, AgainstTorch, testing::Values(torch::kFloat, torch::kDouble));

class EveryOptimizer : public testing::TestWithParam<std::string> {
 protected:
  static std::shared_ptr<Optimizer> make(const std::vector<at::Tensor>& p) {
    return optimizers().create(GetParam(), make_groups(p));
  }
};

TEST_P(EveryOptimizer, ResumesBitEqualFromItsState) {
  const auto p = make_parameters(torch::kFloat);
  const auto whole = make(p);
  Optimizer::NamedTensors saved;
  std::vector<at::Tensor> weights;
  for (int step = 0; step < 6; ++step) {
    if (step == 3) {
      for (const auto& [name, tensor] : whole->state()) saved.emplace_back(name, tensor.clone());
      for (const at::Tensor& t : p) weights.push_back(t.detach().clone().requires_grad_());
    }
    set_gradients(p, step);
    whole->step();
  }
  const auto resumed = make(weights);
  resumed->load_state(saved);
  for (int step = 3; step < 6; ++step) {
    set_gradients(weights, step);
    resumed->step();
  }
  for (size_t i = 0; i < p.size(); ++i) EXPECT_TRUE(p[i].equal(weights[i])) << i;
}

TEST_P(EveryOptimizer, DoesNotDependOnThreads) {
  const int threads = at::get_num_threads();
  std::vector<std::vector<at::Tensor>> runs;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    runs.push_back(make_parameters(torch::kFloat));
    const auto optimizer = make(runs.back());
    for (int step = 0; step < 3; ++step) {
      set_gradients(runs.back(), step);
      optimizer->step();
    }
  }
  at::set_num_threads(threads);
  for (size_t i = 0; i < runs[0].size(); ++i) {
    EXPECT_TRUE(runs[0][i].equal(runs[1][i])) << i;
    EXPECT_TRUE(runs[0][i].equal(runs[2][i])) << i;
  }
}

TEST_P(EveryOptimizer, LeavesParametersWithoutGradientAlone) {
  const auto p = make_parameters(torch::kFloat);
  const at::Tensor before = p[2].detach().clone();
  const auto optimizer = make(p);
  set_gradients(p, 0);
  p[2].mutable_grad().reset();
  optimizer->step();
  EXPECT_TRUE(p[2].equal(before));
  optimizer->zero_grad();
  for (const at::Tensor& t : p) EXPECT_FALSE(t.grad().defined());
}

TEST_P(EveryOptimizer, GradientsAndBuffersOfAnotherLayoutGiveTheSameStep) {
  const auto p = make_parameters(torch::kFloat), q = make_parameters(torch::kFloat);
  const auto ours = make(p), other = make(q);
  for (int step = 0; step < 3; ++step) {
    set_gradients(p, step);
    if (step == 1) q[3].set_data(q[3].detach().contiguous());
    for (size_t i = 0; i < p.size(); ++i) q[i].mutable_grad() = p[i].grad().clone();
    q[3].mutable_grad() = p[3].grad().contiguous();
    q[4].mutable_grad() = p[4].grad().t().contiguous().t();
    ours->step();
    other->step();
  }
  for (size_t i = 0; i < p.size(); ++i) EXPECT_TRUE(p[i].equal(q[i])) << i;
}

TEST_P(EveryOptimizer, RefusesAForeignState) {
  const auto p = make_parameters(torch::kFloat);
  const auto optimizer = make(p);
  const auto message = [&](const Optimizer::NamedTensors& state) -> std::string {
    try {
      optimizer->load_state(state);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  auto state = optimizer->state();
  state.pop_back();
  EXPECT_NE(message(state).find("is missing"), std::string::npos) << message(state);
  state = optimizer->state();
  state.emplace_back("stranger", torch::zeros(1));
  EXPECT_NE(message(state).find("stranger"), std::string::npos) << message(state);
  state = optimizer->state();
  state[1].second = torch::zeros({2, 2});
  EXPECT_NE(message(state).find("another shape"), std::string::npos) << message(state);
}

INSTANTIATE_TEST_SUITE_P(Names, EveryOptimizer, testing::ValuesIn(optimizers().list()));

TEST(Optimizer, RefusesNesterovWithoutMomentum) {
  const auto p = make_parameters(torch::kFloat);
  EXPECT_THROW(make_sgd(make_groups(p), {.momentum = 0, .nesterov = true}), Error);
  EXPECT_THROW(make_sgd(make_groups(p), {.momentum = 0.9, .dampening = 0.1, .nesterov = true}),
               Error);
  EXPECT_THROW(make_sgd({}, {}), Error);
}

}  // namespace
}  // namespace residua
