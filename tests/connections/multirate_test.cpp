#include "residua/connections/multirate.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/models/language/gpt.h"
#include "residua/nn/state.h"

namespace residua {
namespace {

GptOptions multirate_gpt(Json options = Json::object()) {
  if (!options.contains("gates")) options["gates"] = {1, 3};
  return {.dim = 16,
          .depth = 4,
          .heads = 2,
          .ctx = 12,
          .vocab_size = 7,
          .connection = {"multirate", options}};
}

at::Tensor multirate_ids() {
  torch::manual_seed(9);
  return torch::randint(7, {3, 10}, at::kLong);
}

// The state at the end of a pass.
State last_state(Gpt& gpt, const at::Tensor& ids) {
  State last;
  gpt.visit_sites([&](const Site&, const State& state) { last = state; });
  gpt.forward(ids);
  gpt.visit_sites({});
  return last;
}

MultirateConnection& multirate(Gpt& gpt) {
  return dynamic_cast<MultirateConnection&>(gpt.connection());
}

void open_adapters(Gpt& gpt) {
  torch::manual_seed(4);
  for (const auto& p : gpt.named_parameters())
    if (p.key().find("connection.accel") == 0) p.value().detach().normal_(0, 0.2);
}

TEST(Multirate, WithoutAdaptersTheFastStreamIsTheSlowOne) {
  Gpt gpt(multirate_gpt({{"rate", 1}}), Random(1));
  gpt.to(at::kDouble);
  gpt.eval();
  const at::NoGradGuard no_grad;
  const at::Tensor ids = multirate_ids();
  const State state = last_state(gpt, ids);
  const std::vector<at::Tensor> levels = gpt.features(ids);
  for (const int64_t gate : {1, 3}) {
    const at::Tensor cut = levels[static_cast<size_t>(gate - 1)];
    EXPECT_LT((multirate(gpt).exit_state(state, gate) - cut).abs().max().item<double>(), 1e-12);
  }
}

// Both streams in one batch against a pass of each, with the keys and values of the slow one.
TEST(Multirate, EqualsTwoSeparatePasses) {
  Gpt gpt(multirate_gpt(), Random(1));
  gpt.to(at::kDouble);
  gpt.eval();
  open_adapters(gpt);
  const at::NoGradGuard no_grad;
  const at::Tensor ids = multirate_ids();
  const auto parameters = gpt.named_parameters();
  at::Tensor h = gpt.embed(ids), p = h;
  const auto accelerate = [&](const at::Tensor& x, int branch) {
    const std::string name = "connection.accel." + std::to_string(branch);
    return at::linear(at::linear(at::layer_norm(x, {16}), parameters[name + ".down.weight"]),
                      parameters[name + ".up.weight"]);
  };
  const State state = last_state(gpt, ids);
  for (int block = 0; block < 3; ++block) {
    const TransformerBlock& b = *gpt.blocks()[static_cast<size_t>(block)];
    const Attention& attention = *b.attention->attention;
    const auto slow = attention.project(b.attention->norm->forward(h));
    const auto fast = attention.project(b.attention->norm->forward(p));
    p = p + attention.output(attention.mix(fast.q, slow.k, slow.v, true)) +
        accelerate(p, 2 * block);
    h = h + attention.output(attention.mix(slow.q, slow.k, slow.v, true));
    p = p + b.mlp->forward(p) + accelerate(p, 2 * block + 1);
    h = h + b.mlp->forward(h);
    if (block + 1 != 1 && block + 1 != 3) continue;
    EXPECT_LT((multirate(gpt).exit_state(state, block + 1) - p).abs().max().item<double>(), 1e-10);
    p = h;
  }
}

TEST(Multirate, LeavesTheSlowStreamAsItIs) {
  GptOptions plain = multirate_gpt();
  plain.connection = "identity";
  Gpt slow(plain, Random(1)), both(multirate_gpt(), Random(1));
  open_adapters(both);
  slow.eval();
  both.eval();
  const at::NoGradGuard no_grad;
  EXPECT_LT(
      (slow.forward(multirate_ids()) - both.forward(multirate_ids())).abs().max().item<double>(),
      1e-5);
  multirate(both).run_fast(false);
  EXPECT_TRUE(slow.forward(multirate_ids()).equal(both.forward(multirate_ids())));
}

TEST(Multirate, TrainsItsOwnParametersAlone) {
  Gpt gpt(multirate_gpt(), Random(1));
  gpt.forward(multirate_ids());
  gpt.extras(torch::zeros({3})).penalty.backward();
  for (const auto& p : gpt.named_parameters()) {
    const bool own = p.key().starts_with("connection.");
    const bool moved =
        p.value().grad().defined() && p.value().grad().abs().sum().item<double>() > 0;
    // Down-projections begin behind an `up` of zeros.
    if (own && p.key().find(".accel.") != std::string::npos &&
        p.key().find("down") != std::string::npos)
      continue;
    if (own) {
      EXPECT_TRUE(moved) << p.key();
    }
  }
}

// As much as its gradient promises.
TEST(Multirate, AStepOfTheAdaptersImprovesTheirLoss) {
  Gpt gpt(multirate_gpt(), Random(1));
  gpt.to(at::kDouble);
  const auto penalty = [&] {
    gpt.forward(multirate_ids());
    return gpt.extras(torch::zeros({3})).penalty;
  };
  const at::Tensor before = penalty();
  before.backward();
  const double step = 1e-6;
  double promised = 0;
  {
    const at::NoGradGuard no_grad;
    for (const auto& p : gpt.named_parameters()) {
      const at::Tensor gradient = p.value().grad();
      if (!p.key().starts_with("connection.") || !gradient.defined()) continue;
      promised += step * gradient.square().sum().item<double>();
      p.value().sub_(step * gradient);
    }
  }
  EXPECT_NEAR((before - penalty()).item<double>(), promised, 0.01 * promised);
}

TEST(Multirate, BaselineHasAsManyParameters) {
  const auto adapters = [](bool fast) {
    Gpt gpt(multirate_gpt({{"fast", fast}}), Random(1));
    int64_t sum = 0;
    for (const auto& p : gpt.named_parameters())
      if (p.key().starts_with("connection.accel.")) sum += p.value().numel();
    return sum;
  };
  EXPECT_EQ(adapters(true), adapters(false));
}

TEST(Multirate, TellsItsAgreement) {
  for (const bool fast : {true, false}) {
    Gpt gpt(multirate_gpt({{"fast", fast}}), Random(1));
    gpt.eval();
    gpt.forward(multirate_ids());
    const Extras extras = gpt.extras(torch::zeros({3}));
    ASSERT_EQ(extras.values.size(), 6U);
    EXPECT_EQ(extras.values[0].first, "agree_1");
    EXPECT_GE(extras.values[0].second, 0);
    EXPECT_LE(extras.values[0].second, 1);
  }
}

TEST(Multirate, RefusesWhatItCannotRide) {
  EXPECT_THROW(Gpt(multirate_gpt({{"gates", {3, 1}}}), Random(1)), Error);
  EXPECT_THROW(Gpt(multirate_gpt({{"gates", {4}}}), Random(1)), Error);
  EXPECT_THROW(models().create({"mlp", {{"connection", "multirate"}}}, Random(1)), Error);
}

}  // namespace
}  // namespace residua
