#include "residua/connections/orthonormal.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/analysis/signal/signal.h"
#include "residua/connections/error_modulation.h"
#include "residua/models/tabular/mlp.h"
#include "residua/nn/orthonormal.h"

namespace residua {
namespace {

std::shared_ptr<Mlp> deep_mlp(const Json& connection, const Json& more = {}) {
  Json options{{"depth", 30},   {"width", 16},     {"hidden_ratio", 1},
               {"norm", false}, {"image_size", 4}, {"connection", connection}};
  options.update(more.is_null() ? Json::object() : more);
  auto model = std::dynamic_pointer_cast<Mlp>(models().create({"mlp", options}, Random(3)));
  model->to(at::kDouble);
  return model;
}

at::Tensor mlp_images() {
  torch::manual_seed(4);
  return torch::randn({6, 1, 4, 4}, at::kDouble);
}

TEST(OrthonormalConnection, BeginsWithOrthonormalFilters) {
  const auto model =
      models().create({"resnet_cifar", {{"n", 1}, {"connection", "orthonormal"}}}, Random(1));
  int64_t weights = 0;
  for (const auto& p : model->named_parameters())
    if (p.key().starts_with("layer") && p.value().dim() == 4) {
      EXPECT_LT(orthonormality_error(p.value()).item<double>(), 1e-9) << p.key();
      ++weights;
    }
  EXPECT_EQ(weights, 6);
}

TEST(OrthonormalConnection, CarriesTheErrorThroughADeepLinearNetwork) {
  const auto model = deep_mlp({{"name", "orthonormal"}}, {{"act", "none"}});
  for (const auto& block : model->blocks())  // again, in double precision
    for (const at::Tensor& weight : block->branch_weights()) fill_orthonormal(weight, 1, Random(7));
  const Signal signal = measure_signal(*model, mlp_images());
  const double last = signal.sites.back().gradient;
  for (const SiteSignal& s : signal.sites) EXPECT_NEAR(s.gradient / last, 1, 1e-10);
}

TEST(OrthonormalConnection, PenaltyIsItsFormula) {
  const auto model = deep_mlp({{"name", "orthonormal"}, {"init", false}, {"penalty", 0.02}});
  model->forward(mlp_images());
  const at::Tensor penalty = model->extras(torch::zeros({6})).penalty;
  double expected = 0;
  for (const auto& block : model->blocks())
    for (const at::Tensor& w : block->branch_weights())
      expected += 0.01 * (w.mm(w.t()) - torch::eye(16, at::kDouble)).square().sum().item<double>();
  EXPECT_NEAR(penalty.item<double>(), expected, 1e-9 * expected);
  penalty.backward();
  EXPECT_TRUE(model->blocks()[5]->fc1->weight.grad().defined());
  EXPECT_FALSE(model->named_parameters()["stem.weight"].grad().defined());
  model->eval();
  model->forward(mlp_images());
  EXPECT_FALSE(model->extras(torch::zeros({6})).penalty.defined());
}

std::vector<at::Tensor> gradients_of(Mlp& model) {
  model.zero_grad();
  (model.forward(mlp_images()) * torch::arange(10, at::kDouble)).sum().backward();
  std::vector<at::Tensor> gradients;
  for (const auto& block : model.blocks()) gradients.push_back(block->fc2->weight.grad().clone());
  gradients.push_back(model.named_parameters()["stem.weight"].grad().clone());
  return gradients;
}

const Json kWatched{{"name", "orthonormal"}, {"init", false}, {"penalty", 0}, {"watch", true}};

Json watched(const std::string& modulation, double rho_max) {
  Json connection = kWatched;
  connection["modulation"] = modulation;
  connection["rho_max"] = rho_max;
  return connection;
}

at::Tensor error_norms(const Mlp& model) {
  return model.named_buffers()["connection.error_norms"].clone();
}

TEST(Modulation, WithRhoOfOneChangesNothing) {
  const auto plain = gradients_of(*deep_mlp({{"name", "none"}}));
  const auto watched_only = gradients_of(*deep_mlp(kWatched));
  const auto by_one = gradients_of(*deep_mlp(watched("always", 1)));
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_TRUE(watched_only[i].equal(plain[i])) << i;
    EXPECT_TRUE(by_one[i].equal(plain[i])) << i;
  }
}

// The weights' gradients are those without, times the product of the factors above.
TEST(Modulation, CarriesTheErrorAndScalesTheGradientsBelow) {
  const auto free = deep_mlp(kWatched), held = deep_mlp(watched("always", 1e6));
  const auto plain = gradients_of(*free), modulated = gradients_of(*held);
  const at::Tensor raw = error_norms(*free);
  const double highest = raw[-1].item<double>();
  EXPECT_LT(raw[0].item<double>() / highest, 1e-6);  // it vanishes by itself
  for (size_t i = 0; i < plain.size(); ++i) {
    // A block's own gradient is behind the point above it; the stem's behind point 0.
    const size_t point = i + 1 < plain.size() ? i + 1 : 0;
    const double factor = highest / raw[static_cast<int64_t>(point)].item<double>();
    EXPECT_TRUE(torch::allclose(modulated[i], plain[i] * factor, 1e-9, 0)) << i;
  }
  free->forward(mlp_images());
  held->forward(mlp_images());
  const auto with = held->extras(torch::zeros({6})).values;
  const auto without = free->extras(torch::zeros({6})).values;
  ASSERT_EQ(with.size(), 2u);
  EXPECT_NEAR(with[0].second, 0, 1e-9);
  EXPECT_NEAR(with[1].second, without[0].second, 1e-6);
  EXPECT_NEAR(without[0].second, std::log10(raw[0].item<double>() / highest), 1e-9);
}

TEST(Modulation, StaysWithinItsLargestFactor) {
  const auto free = deep_mlp(kWatched), held = deep_mlp(watched("always", 1.1));
  const auto plain = gradients_of(*free), modulated = gradients_of(*held);
  const size_t lowest = plain.size() - 1;
  EXPECT_NEAR((modulated[lowest].norm() / plain[lowest].norm()).item<double>(), std::pow(1.1, 30),
              1e-6 * std::pow(1.1, 30));
}

TEST(Modulation, OutsideWaitsForTheErrorToLeaveItsRange) {
  Json connection = watched("outside", 1e6);
  const auto model = deep_mlp(connection);
  const auto plain = gradients_of(*deep_mlp(kWatched));
  EXPECT_TRUE(gradients_of(*model)[0].equal(plain[0]));   // nothing is known yet
  EXPECT_FALSE(gradients_of(*model)[0].equal(plain[0]));  // the last pass fell below 0.1
  connection["q"] = 1e-30;
  const auto calm = deep_mlp(connection);
  gradients_of(*calm);
  EXPECT_TRUE(gradients_of(*calm)[0].equal(plain[0]));
}

TEST(Modulation, EndsAfterItsSteps) {
  Json connection = watched("always", 1e6);
  connection["modulated_steps"] = 1;
  const auto model = deep_mlp(connection);
  const auto plain = gradients_of(*deep_mlp(kWatched));
  EXPECT_FALSE(gradients_of(*model)[0].equal(plain[0]));
  EXPECT_TRUE(gradients_of(*model)[0].equal(plain[0]));
}

TEST(Modulation, AveragesNormsOverPasses) {
  ErrorPass pass(1e6, 0.75, {4, 8});
  pass.scaled(torch::ones({1, 16}), 1);  // norm 4: 0.75 * 8 + 0.25 * 4
  pass.scaled(torch::ones({1, 1}), 0);   // norm 1: 0.75 * 4 + 0.25 * 1
  EXPECT_DOUBLE_EQ(pass.norms()[1], 7);
  EXPECT_DOUBLE_EQ(pass.norms()[0], 3.25);
}

TEST(OrthonormalConnection, ProjectsEveryKSteps) {
  const auto model =
      deep_mlp({{"name", "orthonormal"}, {"init", false}, {"project_every", 2}, {"penalty", 0}});
  const auto error = [&] {
    return orthonormality_error(model->blocks()[3]->fc1->weight).item<double>();
  };
  model->forward(mlp_images());
  model->forward(mlp_images());
  EXPECT_GT(error(), 1e-3);
  model->eval();
  model->forward(mlp_images());
  EXPECT_GT(error(), 1e-3);
  model->train();
  model->forward(mlp_images());
  EXPECT_LT(error(), 1e-20);
}

TEST(OrthonormalConnection, KeepsShortcutsWhereAsked) {
  const Json options{{"n", 1}, {"width", 4}};
  const auto with = [&](const Json& connection) {
    Json all = options;
    all["connection"] = connection;
    const auto model = models().create({"resnet_cifar", all}, Random(2));
    torch::manual_seed(5);
    return model->forward(torch::randn({2, 3, 16, 16}));
  };
  const Json bare{{"name", "orthonormal"}, {"init", false}};
  Json residual = bare;
  residual["shortcut"] = true;
  EXPECT_TRUE(with(bare).equal(with("none")));
  EXPECT_TRUE(with(residual).equal(with("identity")));
}

}  // namespace
}  // namespace residua
