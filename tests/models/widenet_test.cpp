#include "residua/models/vision/widenet.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/models/language/widenet_lm.h"
#include "residua/models/vision/vit.h"
#include "residua/nn/state.h"

namespace residua {
namespace {

WideNetOptions tiny_widenet() {
  return {.blocks = {.dim = 16, .depth = 3, .heads = 2, .mlp_ratio = 2}, .image_size = 8};
}

at::Tensor wide_tokens() {
  torch::manual_seed(2);
  return torch::randn({2, 4, 16}, at::kDouble);
}

std::map<std::string, at::Tensor> tensors_of(const torch::nn::Module& module) {
  std::map<std::string, at::Tensor> map;
  for (const auto& p : module.named_parameters()) map[p.key()] = p.value();
  return map;
}

void copy_all(const std::map<std::string, at::Tensor>& to,
              const std::map<std::string, at::Tensor>& from,
              const std::vector<std::pair<std::string, std::string>>& names) {
  const at::NoGradGuard no_grad;
  for (const auto& [into, source] : names) to.at(into).copy_(from.at(source));
}

// Names of a sublayer's tensors below two prefixes.
std::vector<std::pair<std::string, std::string>> pairs(const std::string& into,
                                                       const std::string& from,
                                                       const std::vector<std::string>& layers) {
  std::vector<std::pair<std::string, std::string>> names;
  for (const std::string& layer : layers)
    for (const char* what : {".weight", ".bias"})
      names.emplace_back(into + layer + what, from + layer + what);
  return names;
}

TEST(WideNet, OfOneExpertThatSharesNothingIsVit) {
  WideNetOptions o = tiny_widenet();
  o.blocks.share = WideShare::none;
  o.blocks.experts = o.blocks.top_k = 1;
  o.blocks.act_after = false;
  WideNet wide(o, Random(1));
  Vit vit({.image_size = 8, .dim = 16, .depth = 3, .heads = 2, .mlp_ratio = 2}, Random(2));
  wide.to(at::kDouble);
  vit.to(at::kDouble);
  const auto to = tensors_of(wide), from = tensors_of(vit);
  for (int i = 0; i < 3; ++i) {
    const std::string block = "blocks." + std::to_string(i) + ".";
    copy_all(to, from, pairs(block + "attn.", block + "attn.", {"qkv", "proj"}));
    copy_all(to, from, pairs(block + "moe.experts.0.", block + "mlp.", {"fc1", "fc2"}));
    for (int j = 0; j < 2; ++j)
      for (const char* what : {".weight", ".bias"})
        copy_all(to, from,
                 {{"norms." + std::to_string(i) + "." + std::to_string(j) + what,
                   block + "norm" + std::to_string(j + 1) + what}});
  }
  const at::Tensor x = wide_tokens();
  EXPECT_LT((wide.run_blocks(x) - vit.run_blocks(x)).abs().max().item<double>(), 1e-12);
}

// The tied network, block by block, from its own modules.
TEST(WideNet, OfSharedNormsIsALoopOverOneBlock) {
  WideNetOptions o = tiny_widenet();
  o.blocks.norms = WideNorms::shared;
  WideNet wide(o, Random(1)), once(
                                  [&] {
                                    WideNetOptions one = o;
                                    one.blocks.depth = 1;
                                    return one;
                                  }(),
                                  Random(2));
  copy_all(tensors_of(once), tensors_of(wide), [&] {
    std::vector<std::pair<std::string, std::string>> names;
    for (const auto& [name, tensor] : tensors_of(wide)) names.emplace_back(name, name);
    return names;
  }());
  at::Tensor x = wide_tokens().to(at::kFloat);
  const at::Tensor all = wide.run_blocks(x);
  for (int i = 0; i < 3; ++i) x = once.run_blocks(x);
  EXPECT_TRUE(all.equal(x));
}

TEST(WideNet, TiedGradientIsTheSumOverCopies) {
  WideNetOptions o = tiny_widenet();
  o.blocks.capacity_factor = 0;
  WideNet tied(o, Random(1));
  o.blocks.share = WideShare::none;
  WideNet copies(o, Random(2));
  tied.to(at::kDouble);
  copies.to(at::kDouble);
  const auto from = tensors_of(tied), to = tensors_of(copies);
  std::map<std::string, std::vector<std::string>> copies_of;
  for (const auto& [name, tensor] : from)
    for (int i = 0; i < 3; ++i) {
      std::string copy = name;
      if (const size_t at = copy.find("blocks.shared."); at == 0)
        copy.replace(0, 14, "blocks." + std::to_string(i) + ".");
      else if (i > 0)
        continue;
      copy_all(to, from, {{copy, name}});
      copies_of[name].push_back(copy);
    }
  const auto step = [](WideNet& model) {
    const at::Tensor y = model.run_blocks(wide_tokens());
    (y.sin().sum() + model.extras(torch::zeros({2})).penalty).backward();
  };
  step(tied);
  step(copies);
  int compared = 0;
  for (const auto& [name, tensor] : from) {
    if (!tensor.grad().defined()) continue;  // embedding and head
    at::Tensor sum = torch::zeros_like(tensor);
    for (const std::string& copy : copies_of.at(name))
      if (to.at(copy).grad().defined()) sum = sum + to.at(copy).grad();
    EXPECT_LT((tensor.grad() - sum).abs().max().item<double>(), 1e-10) << name;
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

TEST(WideNet, HasTheParametersOfItsFormula) {
  const auto count = [](const WideNetOptions& o) {
    int64_t sum = 0;
    for (const at::Tensor& p : WideNet(o, Random(1)).parameters()) sum += p.numel();
    return sum;
  };
  WideNetOptions o = tiny_widenet();
  const int64_t d = 16, three = count(o);
  o.blocks.depth = 5;
  EXPECT_EQ(count(o) - three, 2 * 4 * d);  // a block adds its normalisations alone
  o.blocks.norms = WideNorms::shared;
  const int64_t attention = 4 * d * d + 4 * d, expert = 4 * d * d + 3 * d;
  const int64_t rest = 4 * d + (3 * 16 * d + d) + 2 * d + (d * d + d) + (10 * d + 10);
  EXPECT_EQ(count(o), rest + attention + 4 * expert + 4 * d + 4 * d);
}

TEST(WideNet, GroupsShareAmongThemselves) {
  WideNetOptions o = tiny_widenet();
  o.blocks.depth = 4;
  o.blocks.share_groups = 2;
  o.blocks.share = WideShare::moe;
  const auto names = tensors_of(WideNet(o, Random(1)));
  EXPECT_TRUE(names.contains("blocks.1.moe.router.weight"));
  EXPECT_FALSE(names.contains("blocks.2.moe.router.weight"));
  EXPECT_TRUE(names.contains("blocks.3.attn.qkv.weight"));
  EXPECT_TRUE(names.contains("norms.3.1.bias"));
}

TEST(WideNet, BalancesItsExperts) {
  WideNetOptions o = tiny_widenet();
  o.blocks.balance = 0.5;
  o.blocks.z_loss = 0.25;
  WideNet model(o, Random(1));
  double balance = 0, z = 0;
  model.blocks().visit_routes([&](const Site&, const MoeRoutes& routes) {
    balance += routes.balance.item<double>() / 3;
    z += routes.z.item<double>() / 3;
  });
  model.forward(torch::randn({2, 3, 8, 8}));
  EXPECT_NEAR(model.extras(torch::zeros({2})).penalty.item<double>(), 0.5 * balance + 0.25 * z,
              1e-6);
}

TEST(WideNetLm, LooksAtNoLaterToken) {
  WideNetLmOptions o;
  o.blocks = {.dim = 16, .depth = 2, .heads = 2, .capacity_factor = 0};
  WideNetLm model(o, Random(1));
  model.eval();
  const at::NoGradGuard no_grad;
  const at::Tensor ids = torch::randint(65, {1, 9}, at::kLong);
  at::Tensor other = ids.clone();
  other[0][6] = (other[0][6] + 1) % 65;
  const at::Tensor a = model.forward(ids), b = model.forward(other);
  EXPECT_LT((a.narrow(1, 0, 6) - b.narrow(1, 0, 6)).abs().max().item<double>(), 1e-6);
  EXPECT_GT((a.narrow(1, 6, 3) - b.narrow(1, 6, 3)).abs().max().item<double>(), 1e-6);
}

}  // namespace
}  // namespace residua
