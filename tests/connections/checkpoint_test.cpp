// Training by a memory plan equals ordinary training to the bit.
#include "residua/connections/checkpoint.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/models/stream_model.h"
#include "residua/nn/autocast_state.h"
#include "residua/nn/cells.h"
#include "residua/nn/live_bytes.h"
#include "residua/nn/observe.h"
#include "residua/nn/state.h"

namespace residua {
namespace {

const std::vector<Component>& all_plans() {
  static const std::vector<Component> plans = {"sqrt",
                                               {"sqrt", {{"segment", 1}}},
                                               {"sqrt", {{"segment", 100}}},
                                               "greedy",
                                               "recursive",
                                               {"recursive", {{"keep", 2}}},
                                               "budget",
                                               "selective",
                                               "none"};
  return plans;
}

std::shared_ptr<StreamMemory> memory_of(const Component& plan) {
  return std::make_shared<StreamMemory>(memory_planners().create(plan));
}

struct Trained {
  NamedTensors state;                 // after some steps
  std::vector<at::Tensor> gradients;  // of the first step
};

struct Setting {
  Component model;
  int64_t channels = 3, size = 8;
  bool channels_last = false, bf16 = false;
};

Trained train(const Setting& setting, const Component& plan, int steps = 3) {
  const auto model =
      std::dynamic_pointer_cast<StreamModel>(models().create(setting.model, Random(1)));
  model->use_memory(memory_of(plan));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));
  Trained trained;
  for (int i = 0; i < steps; ++i) {
    torch::manual_seed(static_cast<uint64_t>(i));
    at::Tensor x = torch::randn({6, setting.channels, setting.size, setting.size});
    if (setting.channels_last) x = x.contiguous(at::MemoryFormat::ChannelsLast);
    optimizer.zero_grad();
    at::Tensor loss;
    {
      AutocastState mode = AutocastState::present();
      mode.cpu = setting.bf16;
      const AutocastStateScope scope(mode);
      loss = model->forward(x).to(at::kFloat).square().mean();
    }
    loss.backward();
    if (i == 0)
      for (const at::Tensor& p : model->parameters())  // undefined where the branch was left out
        trained.gradients.push_back(p.grad().defined() ? p.grad().clone() : at::Tensor());
    optimizer.step();
  }
  for (const auto& [name, tensor] : state_dict(*model))
    trained.state.emplace_back(name, tensor.clone());
  return trained;
}

void expect_same(const Trained& a, const Trained& b) {
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    ASSERT_EQ(a.gradients[i].defined(), b.gradients[i].defined()) << i;
    if (a.gradients[i].defined()) EXPECT_TRUE(a.gradients[i].equal(b.gradients[i])) << i;
  }
  ASSERT_EQ(a.state.size(), b.state.size());
  for (size_t i = 0; i < a.state.size(); ++i)
    EXPECT_TRUE(a.state[i].second.equal(b.state[i].second)) << a.state[i].first;
}

Trained train_plainly(const Setting& setting) { return train(setting, "none"); }

void expect_all_plans_same(const Setting& setting) {
  const Trained plain = train_plainly(setting);
  for (const Component& plan : all_plans()) {
    SCOPED_TRACE(plan.name + plan.options_or_empty().dump());
    expect_same(plain, train(setting, plan));
  }
}

TEST(Checkpoint, MlpTrainsToTheSameBits) {
  expect_all_plans_same({.model = {"mlp", {{"depth", 12}, {"width", 16}, {"in_channels", 3}}}});
  expect_all_plans_same({.model = {"mlp",
                                   {{"depth", 12},
                                    {"width", 16},
                                    {"in_channels", 3},
                                    {"connection", {{"name", "scaled"}, {"learned", true}}}}}});
}

TEST(Checkpoint, ResNetTrainsToTheSameBits) {
  for (const char* order : {"post", "pre"})
    for (const bool channels_last : {false, true})
      expect_all_plans_same({.model = {"resnet_cifar", {{"n", 2}, {"width", 4}, {"order", order}}},
                             .channels_last = channels_last});
}

TEST(Checkpoint, KeepsTheAutocastMode) {
  const Setting setting{
      .model = {"resnet_cifar", {{"n", 2}, {"width", 4}}}, .channels_last = true, .bf16 = true};
  expect_all_plans_same(setting);
  Setting full = setting;
  full.bf16 = false;
  EXPECT_FALSE(train_plainly(setting).gradients[0].equal(train_plainly(full).gradients[0]));
}

TEST(Checkpoint, TransformersWithDropoutTrainToTheSameBits) {
  const Json vit{{"image_size", 8}, {"dim", 16},   {"depth", 4},
                 {"heads", 2},      {"drop", 0.1}, {"attn_drop", 0.1}};
  expect_all_plans_same({.model = {"vit", vit}});
  for (const char* connection : {"parallel", "stochastic-depth", "hyper"}) {
    Json other = vit;
    other["connection"] = connection;
    SCOPED_TRACE(connection);
    expect_all_plans_same({.model = {"vit", other}});
  }
}

TEST(Checkpoint, GptWithDropoutTrainsToTheSameBits) {
  const Component gpt{
      "gpt",
      {{"dim", 16}, {"depth", 3}, {"heads", 2}, {"ctx", 8}, {"dropout", 0.2}, {"vocab_size", 11}}};
  const auto gradients = [&](const Component& plan) {
    const auto model = std::dynamic_pointer_cast<StreamModel>(models().create(gpt, Random(1)));
    model->use_memory(memory_of(plan));
    torch::manual_seed(5);
    model->forward(torch::randint(11, {3, 8})).square().mean().backward();
    std::vector<at::Tensor> all;
    for (const at::Tensor& p : model->parameters()) all.push_back(p.grad());
    return all;
  };
  const auto plain = gradients("none");
  for (const Component& plan : all_plans()) {
    const auto planned = gradients(plan);
    for (size_t i = 0; i < plain.size(); ++i)
      EXPECT_TRUE(plain[i].equal(planned[i])) << plan.name << " " << i;
  }
}

// An LSTM over time, with dropout between the steps: one set of weights for the whole chain.
std::vector<at::Tensor> lstm_gradients(const MemoryPlan& plan, int64_t steps, int accumulate = 1) {
  LstmCell cell(5, 7, Random(2));
  torch::manual_seed(11);
  for (int i = 0; i < accumulate; ++i) {
    const at::Tensor x = torch::randn({steps, 4, 5});
    const at::Tensor h0 = torch::randn({4, 7}).requires_grad_();
    const ChainStep step = [&cell, x](int64_t t, State s) {
      const at::Tensor in = torch::dropout(x[t], 0.3, true);
      const auto [h, c] = cell.forward(in, s.streams[0], s.streams[1]);
      return State{.streams = {torch::dropout(h, 0.2, true), c}, .memo = s.memo};
    };
    const State end = run_planned(
        plan, {.streams = {h0, torch::zeros({4, 7})}, .memo = {{"rows", torch::arange(4)}}}, step);
    EXPECT_TRUE(end.memo.at("rows").equal(torch::arange(4)));
    (end.streams[0].square().sum() + end.streams[1].sum()).backward();
    // What comes after draws the same numbers.
    EXPECT_TRUE(torch::rand({1}).defined());
  }
  std::vector<at::Tensor> gradients{torch::rand({3})};
  for (const at::Tensor& p : cell.parameters()) gradients.push_back(p.grad().clone());
  return gradients;
}

TEST(Checkpoint, LstmWithDropoutHasTheSameGradientsToTheBit) {
  const MemoryPlan none{.segments = {{.begin = 0, .end = 20, .keep = true}}};
  for (const int accumulate : {1, 2}) {
    const auto plain = lstm_gradients(none, 20, accumulate);
    for (const MemoryPlan& plan : {uniform_plan(20, 1), uniform_plan(20, 5), uniform_plan(20, 20),
                                   recursive_plan(20, 1), recursive_plan(20, 3)}) {
      const auto planned = lstm_gradients(plan, 20, accumulate);
      for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(plain[i].equal(planned[i])) << i;
    }
  }
}

TEST(Checkpoint, BackwardTwiceGivesTwiceTheGradient) {
  LstmCell cell(3, 3, Random(1));
  const at::Tensor x = torch::randn({6, 2, 3});
  const State end =
      run_planned(uniform_plan(6, 2), {.streams = {x[0], x[1]}}, [&cell, x](int64_t t, State s) {
        const auto [h, c] = cell.forward(x[t], s.streams[0], s.streams[1]);
        return State{.streams = {h, c}};
      });
  const at::Tensor loss = end.x().sum();
  loss.backward({}, /*retain_graph=*/true);
  const at::Tensor once = cell.weight_hh.grad().clone();
  loss.backward();
  EXPECT_TRUE(torch::allclose(cell.weight_hh.grad(), 2 * once, 1e-6, 1e-7));
}

TEST(Checkpoint, RunsEachSiteAsOftenAsPlanned) {
  for (const Component& plan : all_plans()) {
    const auto model = std::dynamic_pointer_cast<StreamModel>(
        models().create({"mlp", {{"depth", 12}, {"width", 8}, {"norm", false}}}, Random(1)));
    model->use_memory(memory_of(plan));
    model->forward(torch::randn({2, 1, 8, 8}));  // measures, where the plan wants it
    std::map<const torch::nn::Module*, int64_t> runs;
    const ForwardObserver observer(
        [&](const auto& layer, const auto&, const auto&) { ++runs[&layer]; });
    model->forward(torch::randn({2, 1, 8, 8})).sum().backward();
    const std::vector<int64_t> planned = planned_runs(model->memory()->last().plan, 12);
    const auto blocks = model->named_modules();
    for (int64_t i = 0; i < 12; ++i)
      EXPECT_EQ(runs[blocks["blocks." + std::to_string(i) + ".fc1"].get()],
                planned[static_cast<size_t>(i)])
          << plan.name << " " << i;
  }
}

TEST(Checkpoint, LeavesPassesWithoutGradientAlone) {
  const auto model =
      std::dynamic_pointer_cast<StreamModel>(models().create({"mlp", {{"depth", 4}}}, Random(1)));
  const at::Tensor x = torch::randn({2, 1, 8, 8});
  const at::Tensor plain = model->forward(x);
  model->use_memory(memory_of("sqrt"));
  EXPECT_TRUE(model->forward(x).equal(plain));
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(model->forward(x).equal(plain));
  EXPECT_EQ(model->features(x).size(), 4u);
}

// Bytes at the peak of a training step, beyond those of parameters and input.
int64_t measured_peak(StreamModel& model, const at::Tensor& x) {
  model.forward(x).sum().backward();  // plans
  for (at::Tensor& p : model.parameters()) p.mutable_grad().reset();
  const LiveBytes live;
  model.forward(x).sum().backward();
  return live.peak();
}

TEST(Checkpoint, MeasuredPeakIsThePlanned) {
  const Component net{"resnet_cifar", {{"n", 6}, {"width", 8}, {"order", "pre"}}};
  // The parameters' gradients, 0.6 MB, are not part of the plan.
  const at::Tensor x = torch::randn({96, 3, 16, 16});
  for (const Component& plan :
       std::vector<Component>{{"budget", {{"mb", 20}}}, {"budget", {{"mb", 28}}}, "greedy"}) {
    const auto model = std::dynamic_pointer_cast<StreamModel>(models().create(net, Random(1)));
    model->use_memory(memory_of(plan));
    const int64_t measured = measured_peak(*model, x);
    const StreamMemory::Planned& planned = model->memory()->last();
    const int64_t bytes = planned_peak(planned.plan, planned.sizes);
    EXPECT_NEAR(static_cast<double>(measured) / static_cast<double>(bytes), 1, 0.1)
        << plan.name << plan.options_or_empty() << " " << measured << " " << bytes;
  }
}

TEST(Checkpoint, EachPlanNeedsLessThanKeepingAll) {
  // All sites alike: of 64 of them the root keeps 8 states and the activations of 8 sites.
  const at::Tensor x = torch::randn({512, 1, 8, 8});
  const Component net{"mlp", {{"depth", 64}, {"width", 64}}};
  const auto peak = [&](const Component& plan) {
    const auto model = std::dynamic_pointer_cast<StreamModel>(models().create(net, Random(1)));
    model->use_memory(memory_of(plan));
    return static_cast<double>(measured_peak(*model, x));
  };
  const double none = peak("none");
  EXPECT_LT(peak("sqrt"), 0.35 * none);
  EXPECT_LT(peak("recursive"), 0.25 * none);
  EXPECT_LT(peak("selective"), 0.85 * none);
}

TEST(Checkpoint, RefusesConnectionsThatDrive) {
  const auto model = std::dynamic_pointer_cast<StreamModel>(
      models().create({"mlp", {{"connection", "ode"}}}, Random(1)));
  model->use_memory(memory_of("sqrt"));
  try {
    model->forward(torch::randn({2, 1, 8, 8}));
    ADD_FAILURE() << "took a plan";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::unsupported);
  }
}

}  // namespace
}  // namespace residua
