#include "residua/models/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "residua/core/error.h"
#include "residua/models/model.h"

namespace residua {
namespace {

using testing::Contains;
using testing::HasSubstr;

const std::filesystem::path kCards = std::filesystem::path(RESIDUA_SOURCE_DIR) / "tests/golden";

std::vector<std::string> card_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kCards))
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem());
  std::ranges::sort(names);
  return names;
}

std::string card_text(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(kCards / (name + ".json")).rdbuf();
  return text.str();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

class EveryCard : public testing::TestWithParam<std::string> {};

TEST_P(EveryCard, Passes) {
  const CardResult result = verify_card(read_card(kCards / (GetParam() + ".json")));
  EXPECT_TRUE(result.passed()) << result.text();
  EXPECT_GT(result.parameters, 0);
  EXPECT_GT(result.samples, 0);
}

INSTANTIATE_TEST_SUITE_P(Golden, EveryCard, testing::ValuesIn(card_names()), [](const auto& info) {
  std::string label = info.param;
  std::ranges::replace_if(
      label, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return label;
});

TEST(Golden, HasTheCardsOfTheReferences) {
  for (const char* name : {"resnet18", "resnet50", "resnet-cifar8", "resnet-cifar20"})
    EXPECT_THAT(card_names(), Contains(name));
}

TEST(Golden, APerturbedWeightFails) {
  const GoldenCard card = parse_card(card_text("resnet-cifar8"), "card");
  const auto model = models().create(card_model(card), Random(0));
  const auto run = [&](double change) {
    return check_card(card, *model, [&](const std::vector<at::Tensor>& inputs) {
      at::Tensor weight = model->named_parameters()["layer2.0.conv1.weight"].detach();
      weight.select(0, 0).mul_(1 + change);
      return NamedOutputs{{"y", model->forward(inputs.front())}};
    });
  };
  EXPECT_TRUE(run(0).passed());
  const CardResult perturbed = run(0.05);
  EXPECT_FALSE(perturbed.passed());
  EXPECT_THAT(perturbed.text(), HasSubstr("output y: element"));
  EXPECT_FALSE(run(std::numeric_limits<double>::quiet_NaN()).passed());
}

TEST(Golden, ARenamedParameterFailsByName) {
  const std::string text =
      replaced(card_text("resnet-cifar8"), "layer1.0.conv1.weight", "layer1.0.convA.weight");
  const CardResult result = verify_card(parse_card(text, "card"));
  EXPECT_THAT(result.failures,
              Contains("layer1.0.convA.weight [16, 16, 3, 3] is not in the model"));
  EXPECT_THAT(result.failures, Contains("layer1.0.conv1.weight is not in the reference"));
  EXPECT_THAT(result.text(), HasSubstr("FAIL resnet_cifar"));
}

TEST(Golden, AnotherShapeFailsByName) {
  const std::string text =
      replaced(card_text("resnet-cifar8"), R"(["bn1.bias",[16]])", R"(["bn1.bias",[17]])");
  EXPECT_THAT(verify_card(parse_card(text, "card")).failures,
              Contains("bn1.bias is [16], the reference has [17]"));
}

TEST(Golden, AnotherArchitectureFails) {
  const std::string text =
      replaced(card_text("resnet-cifar8"), R"("shortcut":"A")", R"("shortcut":"B")");
  const CardResult result = verify_card(parse_card(text, "card"));
  EXPECT_THAT(result.failures, Contains("layer2.0.shortcut.0.weight is not in the reference"));
  EXPECT_THAT(result.failures, Contains("... and 5 more like this"));
}

TEST(Golden, AnotherModeFails) {
  const std::string text =
      replaced(card_text("resnet-cifar8"), R"("mode":"eval")", R"("mode":"train")");
  EXPECT_FALSE(verify_card(parse_card(text, "card")).passed());
}

at::Tensor filled(const std::string& name, at::IntArrayRef shape,
                  const std::vector<CardFill>& fill = {}, at::ScalarType type = at::kFloat) {
  at::Tensor t = at::zeros(shape, type);
  golden_fill(name, t, fill);
  return t;
}

// Expected values by the rule, computed in Python.
TEST(GoldenFill, FollowsItsTable) {
  EXPECT_EQ(filled("bn.running_var", {2})[0].item<float>(), 1.361659049987793f);
  EXPECT_EQ(filled("bn.running_var", {2})[1].item<float>(), 0.8640015125274658f);
  EXPECT_EQ(filled("bn.running_mean", {2})[0].item<float>(), 0.08470924198627472f);
  EXPECT_EQ(filled("conv.weight", {4, 6, 1, 1}).view({-1})[0].item<float>(), -0.4400063455104828f);
  EXPECT_EQ(filled("conv.weight", {4, 6, 1, 1}).view({-1})[23].item<float>(), -0.5099257230758667f);
  EXPECT_EQ(filled("bn.weight", {2})[1].item<float>(), 0.9692946076393127f);
  EXPECT_EQ(filled("bn.bias", {2})[0].item<float>(), -0.09554658830165863f);
}

TEST(GoldenFill, PatternsMatchWholeNamesAndTheFirstOneWins) {
  const std::vector<CardFill> fill{{"gamma", 7, 8}, {"ls\\.\\d\\.gamma", -2, 5}, {".*", 100, 101}};
  const at::Tensor t = filled("ls.2.gamma", {2}, fill);
  EXPECT_EQ(t[0].item<float>(), -0.10831493139266968f);
  EXPECT_EQ(t[1].item<float>(), 2.127453088760376f);
  EXPECT_THROW(filled("x", {2}, {{"(", 0, 1}}), Error);
}

TEST(GoldenFill, ComplexPartsHaveTheirOwnNames) {
  const at::Tensor t = at::view_as_real(filled("spec", {1}, {}, at::kComplexFloat));
  EXPECT_EQ(t[0][0].item<float>(), -0.08448000252246857f);
  EXPECT_EQ(t[0][1].item<float>(), 0.018694709986448288f);
  const at::Tensor m = at::view_as_real(filled("fft.weight", {1, 3}, {}, at::kComplexFloat));
  EXPECT_EQ(m[0][1][0].item<float>(), 0.808085560798645f);
  EXPECT_EQ(m[0][1][1].item<float>(), -0.3329811096191406f);
}

TEST(GoldenFill, LeavesIntegersAlone) {
  EXPECT_TRUE(filled("bn.num_batches_tracked", {3}, {{".*", 5, 6}}, at::kLong)
                  .equal(at::zeros({3}, at::kLong)));
}

TEST(GoldenInput, FollowsItsKinds) {
  EXPECT_EQ(golden_input({"x", "uniform", {2}})[1].item<float>(), -0.36252033710479736f);
  EXPECT_EQ(golden_input({"x", "positive", {2}})[1].item<float>(), 0.3187398314476013f);
  const at::Tensor ids = golden_input({"tokens", "ids", {3}, 1000});
  EXPECT_TRUE(ids.equal(at::tensor({309, 515, 417}, at::kLong)));
  EXPECT_THROW(golden_input({"x", "edges", {2}}), Error);
  EXPECT_THROW(golden_input({"x", "ids", {2}}), Error);
}

ErrorKind kind_of_failure(const std::string& text) {
  try {
    card_model(parse_card(text, "card"));
  } catch (const Error& e) {
    return e.kind();
  }
  return ErrorKind::internal;
}

TEST(GoldenCard, BrokenCardsAreRefused) {
  const std::string card = card_text("resnet-cifar8");
  EXPECT_EQ(kind_of_failure("{"), ErrorKind::corrupt_file);
  EXPECT_EQ(kind_of_failure("{}"), ErrorKind::corrupt_file);
  EXPECT_EQ(kind_of_failure(replaced(card, R"("card":1)", R"("card":2)")), ErrorKind::unsupported);
  EXPECT_EQ(kind_of_failure(replaced(card, R"("samples":[[0,)", R"("samples":[[99,)")),
            ErrorKind::corrupt_file);
  EXPECT_EQ(
      kind_of_failure(replaced(card, R"("shape":[2,3,32,32])", R"("shape":[1000000,1000000])")),
      ErrorKind::limit);
  EXPECT_EQ(kind_of_failure(replaced(card, R"("reference":"akamaster)", R"("reference":"unknown)")),
            ErrorKind::not_found);
  EXPECT_EQ(kind_of_failure(replaced(card, R"("model":"","options")", R"("model":7,"options")")),
            ErrorKind::corrupt_file);
}

TEST(GoldenCard, FindsItsModel) {
  EXPECT_EQ(card_model(parse_card(card_text("resnet18"), "card")).name, "resnet18");
  const std::string unnamed =
      replaced(card_text("resnet18"), R"("model":"resnet18")", R"("model":"")");
  EXPECT_EQ(card_model(parse_card(unnamed, "card")).name, "resnet18");
  EXPECT_EQ(card_model(parse_card(card_text("resnet-cifar20"), "card")).options_or_empty()["n"], 3);
}

}  // namespace
}  // namespace residua
