// LAuReL against its formulas, the residual network it begins as, and counts.
#include "residua/connections/laurel.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "carriers.h"
#include "residua/core/error.h"

namespace residua {
namespace {

constexpr int64_t kWidth = 6;

Carrier vectors(int64_t depth, bool attends = false) {
  std::vector<Site> sites;
  for (int64_t i = 0; i < depth; ++i)
    sites.push_back({.branch = i,
                     .block = attends ? i / 2 : i,
                     .sublayer = attends ? i % 2 : 0,
                     .kind = attends && i % 2 == 0 ? SiteKind::attention : SiteKind::mlp,
                     .c_in = kWidth,
                     .c_out = kWidth});
  return {.kind = attends ? CarrierKind::vit : CarrierKind::mlp, .sites = numbered(sites)};
}

// A connection on a carrier in double precision with random parameters, fed random branches.
struct Fed {
  Carrier carrier;
  std::shared_ptr<Connection> connection;
  std::vector<at::Tensor> x, y;  // streams before and after each site; what its branch gave

  Fed(const Json& options, const Carrier& on) : carrier(on) {
    connection = connections().create({"laurel", options}, carrier, Random(3));
    connection->to(at::kDouble);
    torch::manual_seed(8);
    {
      const at::NoGradGuard no_grad;
      for (at::Tensor& p : connection->parameters()) p.copy_(torch::randn_like(p));
    }
    const std::vector<int64_t> shape = on.kind == CarrierKind::vit
                                           ? std::vector<int64_t>{3, 5, kWidth}
                                           : std::vector<int64_t>{3, kWidth};
    State state = connection->begin(torch::randn(shape, at::kDouble));
    x.push_back(state.x());
    for (const Site& site : carrier.sites) {
      const Read read = connection->read(state, site);
      EXPECT_TRUE(read.input.is_same(state.x()));
      y.push_back(torch::randn(shape, at::kDouble));
      connection->merge(state, site, y.back(), read);
      x.push_back(state.x());
    }
  }

  at::Tensor of(size_t site, const std::string& name) const {
    return connection->named_parameters()[std::to_string(site) + "." + name].detach();
  }
  at::Tensor low_rank(size_t i, const at::Tensor& v) const {  // x -> (A B) x for row vectors
    return v.matmul(of(i, "A.weight").matmul(of(i, "B.weight")).t());
  }
};

void expect_near(const at::Tensor& a, const at::Tensor& b, double tolerance = 1e-10) {
  EXPECT_TRUE(torch::allclose(a, b, tolerance, tolerance)) << (a - b).abs().max();
}

TEST(Laurel, BeginsAsTheResidualNetwork) {
  for (const TinyCarrier& carrier : tiny_carriers()) {
    // x + 1 f(x), without the fusion that a plain addition has.
    const auto plain = carrier.make("scaled");
    const at::Tensor x = carrier.input(4);
    for (const char* variant : {"rw", "lr", "pa", "rw+lr", "rw+lr+pa"})
      for (const char* norm : {"none", "sigmoid", "softmax"}) {
        if (std::string(norm) != "none" && std::string(variant).find("rw") != 0) continue;
        const auto model = carrier.make({"laurel", {{"variant", variant}, {"norm", norm}}});
        plain->eval();
        model->eval();
        EXPECT_TRUE(plain->forward(x).equal(model->forward(x)))
            << carrier.label << " " << variant << " " << norm;
      }
  }
}

TEST(Laurel, IsItsFormula) {
  constexpr int64_t kDepth = 5, kHistory = 3;
  for (const std::string variant : {"rw", "lr", "pa", "rw+lr", "rw+lr+pa"}) {
    const Fed fed({{"variant", variant}, {"rank", 2}, {"history", kHistory}}, vectors(kDepth));
    const bool rw = variant.starts_with("rw"), lr = variant.find("lr") != std::string::npos,
               pa = variant.find("pa") != std::string::npos;
    for (size_t i = 0; i < kDepth; ++i) {
      at::Tensor kept = fed.x[i], y = fed.y[i];
      if (lr) kept = kept + fed.low_rank(i, fed.x[i]);
      if (rw) kept = fed.of(i, "beta") * kept;
      if (rw || pa) y = fed.of(i, "alpha") * y;
      at::Tensor expected = y + kept;
      for (int64_t j = 0; pa && j < std::min<int64_t>(kHistory, static_cast<int64_t>(i) + 1); ++j)
        expected =
            expected + fed.of(i, "gamma")[j] * fed.low_rank(i, fed.x[i - static_cast<size_t>(j)]);
      expect_near(fed.x[i + 1], expected);
    }
  }
}

TEST(Laurel, LowRankIsADenseMatrix) {
  const Fed fed({{"variant", "lr"}, {"rank", 2}}, vectors(3));
  for (size_t i = 0; i < 3; ++i) {
    const at::Tensor w =
        torch::eye(kWidth, at::kDouble) + fed.of(i, "A.weight").matmul(fed.of(i, "B.weight"));
    expect_near(fed.x[i + 1], fed.y[i] + fed.x[i].matmul(w.t()), 1e-10);
  }
}

TEST(Laurel, OnePastStateIsAWeightOfTheStream) {
  const Fed fed({{"variant", "pa"}, {"mix", "identity"}, {"history", 1}}, vectors(3));
  for (size_t i = 0; i < 3; ++i)
    expect_near(fed.x[i + 1],
                fed.of(i, "alpha") * fed.y[i] + (1 + fed.of(i, "gamma")[0]) * fed.x[i]);
}

TEST(Laurel, NormalisedScalesAreTheirFormulas) {
  for (const std::string norm : {"sigmoid", "softmax"}) {
    const Fed fed({{"variant", "rw"}, {"norm", norm}}, vectors(2));
    for (size_t i = 0; i < 2; ++i) {
      const double a = fed.of(i, "alpha").item<double>(), b = fed.of(i, "beta").item<double>();
      const double wa = norm == "sigmoid" ? 2 / (1 + std::exp(-a)) : 2 / (1 + std::exp(b - a));
      const double wb = norm == "sigmoid" ? 2 / (1 + std::exp(-b)) : 2 / (1 + std::exp(a - b));
      expect_near(fed.x[i + 1], wa * fed.y[i] + wb * fed.x[i]);
    }
  }
}

TEST(Laurel, GemmasVariantIsItsFormulaAtAttentions) {
  const Fed fed({{"variant", "gemma"}, {"rank", 2}}, vectors(4, /*attends=*/true));
  for (const size_t i : {0, 2}) {
    const at::Tensor low = fed.x[i]
                               .matmul(fed.of(i, "linear_left.weight").t())
                               .matmul(fed.of(i, "linear_right.weight").t());
    const at::Tensor normed =
        low / (low.square().mean(-1, true) + 1e-6).sqrt() * fed.of(i, "post_laurel_norm.weight");
    expect_near(fed.x[i + 1], (fed.x[i] + fed.y[i] + fed.x[i] + normed) / std::sqrt(2.0));
    expect_near(fed.x[i + 2], fed.x[i + 1] + fed.y[i + 1]);
  }
}

TEST(Laurel, SpansAWholeBlock) {
  const Fed fed({{"variant", "rw"}, {"per", "block"}}, vectors(4, /*attends=*/true));
  EXPECT_EQ(fed.connection->parameters().size(), 4u);
  for (const size_t i : {0, 2}) {
    const at::Tensor f = fed.y[i] + fed.y[i + 1];  // what the block adds
    expect_near(fed.x[i + 1], fed.x[i] + fed.y[i]);
    expect_near(fed.x[i + 2], fed.of(i + 1, "alpha") * f + fed.of(i + 1, "beta") * fed.x[i]);
  }
}

TEST(Laurel, CountsItsParameters) {
  const auto count = [](const Json& options) {
    const auto connection = connections().create({"laurel", options}, vectors(3), Random(0));
    int64_t sum = 0;
    for (const at::Tensor& p : connection->parameters()) sum += p.numel();
    EXPECT_EQ(sum % 3, 0);
    return sum / 3;  // for each site
  };
  const int64_t d = kWidth, r = 2, k = 4;
  EXPECT_EQ(count({{"variant", "rw"}}), 2);
  EXPECT_EQ(count({{"variant", "lr"}, {"rank", r}}), 2 * r * d);
  EXPECT_EQ(count({{"variant", "rw+lr"}, {"rank", r}}), 2 + 2 * r * d);
  // The k factors and h, and alpha.
  EXPECT_EQ(count({{"variant", "pa"}, {"rank", r}, {"history", k}}), 1 + k + 2 * r * d);
  EXPECT_EQ(count({{"variant", "gemma"}, {"rank", r}}), 2 * r * d + d);
}

TEST(Laurel, ScalesLearnFromInnerProducts) {
  const auto connection =
      connections().create({"laurel", {{"variant", "rw"}}}, vectors(1), Random(0));
  connection->to(at::kDouble);
  const at::Tensor x = torch::randn({4, kWidth}, at::kDouble), y = torch::randn_like(x),
                   g = torch::randn_like(x);
  State state = connection->begin(x);
  connection->merge(state, numbered({Site{.c_in = kWidth, .c_out = kWidth}})[0], y, {});
  (state.x() * g).sum().backward();
  const auto p = connection->named_parameters();
  expect_near(p["0.alpha"].grad(), (g * y).sum().reshape({1}));
  expect_near(p["0.beta"].grad(), (g * x).sum().reshape({1}));
}

TEST(Laurel, FirstMatricesAreOrthonormalAndZero) {
  const auto connection =
      connections().create({"laurel", {{"variant", "lr"}, {"rank", 3}}}, vectors(2), Random(0));
  const auto p = connection->named_parameters();
  const at::Tensor a = p["1.A.weight"];
  EXPECT_TRUE(torch::allclose(a.t().matmul(a), torch::eye(3), 1e-5, 1e-6));
  EXPECT_EQ(p["1.B.weight"].abs().max().item<float>(), 0);
  EXPECT_FALSE(a.equal(p["0.A.weight"]));
}

TEST(Laurel, ForgetsThePastWhereTheShapeChanges) {
  const TinyCarrier& carrier = tiny_carrier("cifar_b");
  const auto model = carrier.make({"laurel", {{"variant", "pa"}, {"mix", "identity"}}});
  std::vector<size_t> kept;
  model->visit_sites([&](const Site&, const State& s) { kept.push_back(s.memo.size()); });
  model->forward(carrier.input(2));
  EXPECT_EQ(kept, (std::vector<size_t>{1, 2, 1, 2, 1, 2}));
}

TEST(Laurel, RefusesWhatHasNoMeaning) {
  const auto create = [](const Json& options) {
    return connections().create({"laurel", options}, vectors(2), Random(0));
  };
  EXPECT_THROW(create({{"rank", kWidth + 1}}), Error);
  EXPECT_THROW(create({{"variant", "lr"}, {"norm", "softmax"}}), Error);
  EXPECT_THROW(create({{"variant", "pa"}, {"norm", "softmax"}}), Error);
  EXPECT_NO_THROW(create({{"variant", "pa"}, {"norm", "sigmoid"}}));
}

}  // namespace
}  // namespace residua
