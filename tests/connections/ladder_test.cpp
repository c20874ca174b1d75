#include "residua/connections/ladder.h"

#include <gtest/gtest.h>

#include "residua/core/error.h"
#include "residua/models/model.h"
#include "toy_stream.h"

namespace residua {
namespace {

at::Tensor ladder_input() {
  torch::manual_seed(3);
  return torch::randn({5, 6}, at::kDouble);
}

TEST(Ladder, IsTheDoubleRecursion) {
  const auto f = tanh_branches(7, 6);
  const at::Tensor received = ToyStream("ladder", f, 6)(ladder_input());
  at::Tensor before = ladder_input(), x = before;  // x_{t-2}, x_{t-1}
  x = x + f[0](x);                                 // x_1 reads x_0 = x_{-1}
  for (size_t t = 1; t < f.size(); ++t) {
    const at::Tensor next = x + f[t](before);
    before = x;
    x = next;
  }
  EXPECT_LT(max_difference(received, x), 1e-12);
}

TEST(Ladder, SiteReadsAllButThePredecessor) {
  ToyStream stream("ladder", tanh_branches(6, 6), 6);
  stream(ladder_input());
  at::Tensor sum = ladder_input();
  for (size_t t = 0; t < 6; ++t) {
    if (t >= 2) sum = sum + stream.outputs[t - 2];
    EXPECT_LT(max_difference(stream.inputs[t], sum), 1e-12) << t;
  }
}

TEST(Ladder, PartOfANetworkStaysStandard) {
  const auto f = tanh_branches(8, 6);  // four blocks of two branches
  ToyStream half({"ladder", {{"last", 2}}}, f, 6, CarrierKind::gpt);
  at::Tensor x = ladder_input();
  const at::Tensor received = half(x);
  for (size_t t = 0; t < 4; ++t) x = x + f[t](x);
  const at::Tensor y4 = f[4](x), y5 = f[5](x);
  const at::Tensor y6 = f[6](x + y4), y7 = f[7](x + y4 + y5);
  EXPECT_LT(max_difference(received, x + y4 + y5 + y6 + y7), 1e-12);

  // A standard block after a ladder block reads everything.
  ToyStream first({"ladder", {{"blocks", {0, 1, 2}}}}, f, 6, CarrierKind::gpt);
  first(ladder_input());
  at::Tensor all = ladder_input();
  for (size_t t = 0; t < 6; ++t) all = all + first.outputs[t];
  EXPECT_LT(max_difference(first.inputs[6], all), 1e-12);

  EXPECT_THROW(ToyStream({"ladder", {{"last", 5}}}, f, 6, CarrierKind::gpt), Error);
  EXPECT_THROW(ToyStream({"ladder", {{"blocks", {4}}}}, f, 6, CarrierKind::gpt), Error);
  EXPECT_THROW(ToyStream({"ladder", {{"blocks", {1}}, {"last", 1}}}, f, 6, CarrierKind::gpt),
               Error);
}

TEST(Ladder, DiffersFromStandardInSecondOrder) {
  const auto difference = [](double size) {
    const auto linear = [&] {
      torch::manual_seed(11);
      std::vector<ToyBranch> branches;
      for (int i = 0; i < 8; ++i) {
        const at::Tensor w = size * torch::randn({6, 6}, at::kDouble);
        branches.push_back([w](const at::Tensor& x) { return at::matmul(x, w); });
      }
      return branches;
    }();
    const at::Tensor x = ladder_input();
    return (ToyStream("ladder", linear, 6)(x) - ToyStream("identity", linear, 6)(x))
        .norm()
        .item<double>();
  };
  const double slope = std::log(difference(1e-3) / difference(1e-4)) / std::log(10.0);
  EXPECT_NEAR(slope, 2, 0.01);
}

TEST(Ladder, RidesConvolutionalNetworks) {
  for (const char* order : {"pre", "post"}) {
    const auto model = models().create(
        {"resnet_cifar", {{"n", 3}, {"width", 4}, {"order", order}, {"connection", "ladder"}}},
        Random(1));
    const at::Tensor y = model->forward(torch::randn({2, 3, 16, 16}));
    y.square().sum().backward();
    for (const auto& p : model->named_parameters())
      EXPECT_TRUE(p.value().grad().defined()) << p.key();
  }
}

TEST(Desync, OnOneRankIsTheResidualNetwork) {
  const auto f = tanh_branches(6, 6);
  const at::Tensor x = ladder_input();
  EXPECT_TRUE(ToyStream("desync", f, 6)(x).equal(ToyStream("identity", f, 6)(x)));
}

}  // namespace
}  // namespace residua
