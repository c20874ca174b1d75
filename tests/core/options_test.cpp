#include "residua/core/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "residua/core/error.h"
#include "tests/core/sample_options.h"

namespace residua {
namespace {

using residua::testing::Decay;
using residua::testing::OptimOptions;
using residua::testing::SampleOptions;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json json(const char* text) { return Json::parse(text); }

// The message of the invalid_argument error that assigning causes.
std::string refusal(const Json& values, const char* where = "") {
  SampleOptions options;
  try {
    assign(options, values, where);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::invalid_argument);
    return e.what();
  }
  return "accepted";
}

TEST(Options, StayAggregates) {
  const OptimOptions options{.lr = 0.05, .decay = Decay::step};
  EXPECT_EQ(options.lr, 0.05);
  EXPECT_FALSE(options.nesterov);
}

TEST(Options, AssignSetsWhatIsNamedAndKeepsTheRest) {
  SampleOptions options;
  assign(options,
         json(R"({"epochs": 3, "optim": {"lr": 1, "nesterov": true, "decay": "step"}, "sizes": [7],
                           "mean": [0, 1], "tags": ["a", "b"], "seed": 5, "clip": "none",
                           "inner": {"optim": {"lr": 0.2}}})"));
  EXPECT_EQ(options.epochs, 3);
  EXPECT_EQ(options.name, "run");
  EXPECT_EQ(options.optim.lr, 1);
  EXPECT_TRUE(options.optim.nesterov);
  EXPECT_EQ(options.optim.decay, Decay::step);
  EXPECT_THAT(options.sizes, ElementsAre(7));
  EXPECT_THAT(options.mean, ElementsAre(0, 1));
  EXPECT_THAT(options.tags, ElementsAre("a", "b"));
  EXPECT_EQ(options.seed, 5);
  EXPECT_EQ(options.clip, std::nullopt);
  EXPECT_EQ(options.inner.depth, 3);
  EXPECT_EQ(options.inner.optim.lr, 0.2);
  EXPECT_EQ(options.inner.optim.decay, Decay::cosine);
}

TEST(Options, UnknownKeysNameTheNearest) {
  EXPECT_EQ(refusal(json(R"({"epoch": 3})")),
            "[epoch] is not an option. Hint: did you mean 'epochs'?");
  EXPECT_EQ(refusal(json(R"({"inner": {"optim": {"nestrov": true}}})"), "train"),
            "[train.inner.optim.nestrov] is not an option. Hint: did you mean 'nesterov'?");
  EXPECT_THAT(refusal(json(R"({"optim": {"zzzzzz": 1}})")),
              HasSubstr("the keys are lr, nesterov, decay"));
}

TEST(Options, WrongTypesSayWhatIsExpected) {
  EXPECT_EQ(
      refusal(json(R"({"epochs": "many"})")),
      "[epochs] has a value it cannot take. Expected integer in [1, 1000]. Received \"many\".");
  EXPECT_THAT(refusal(json(R"({"epochs": 2.5})")), HasSubstr("Received 2.5"));
  EXPECT_THAT(refusal(json(R"({"epochs": null})")), HasSubstr("integer"));
  EXPECT_THAT(refusal(json(R"({"optim": {"nesterov": 1}})")), HasSubstr("[optim.nesterov]"));
  EXPECT_THAT(refusal(json(R"({"optim": {"lr": "0.1"}})")), HasSubstr("number in (0, 10]"));
  EXPECT_THAT(refusal(json(R"({"optim": 3})")), HasSubstr("[optim] must be a table of options"));
  EXPECT_THAT(refusal(json(R"({"sizes": [1, "x"]})")), HasSubstr("[sizes[1]]"));
  EXPECT_THAT(refusal(json(R"({"sizes": {"a": 1}})")), HasSubstr("[sizes]"));
  EXPECT_THAT(refusal(json(R"({"tags": [[1]]})")), HasSubstr("[tags[0]]"));
  EXPECT_THAT(refusal(json("[1]")), HasSubstr("must be a table of options"));
}

TEST(Options, RangesAreHeldAtTheirEnds) {
  EXPECT_EQ(refusal(json(R"({"epochs": 1})")), "accepted");
  EXPECT_EQ(refusal(json(R"({"epochs": 1000})")), "accepted");
  EXPECT_THAT(refusal(json(R"({"epochs": 0})")), HasSubstr("[1, 1000]"));
  EXPECT_THAT(refusal(json(R"({"epochs": 1001})")), HasSubstr("[1, 1000]"));
  EXPECT_THAT(refusal(json(R"({"optim": {"lr": 0}})")), HasSubstr("(0, 10]"));
  EXPECT_EQ(refusal(json(R"({"optim": {"lr": 10}})")), "accepted");
  EXPECT_THAT(refusal(json(R"({"mean": [0.5, 1.5]})")), HasSubstr("[mean[1]]"));
  EXPECT_THAT(refusal(json(R"({"clip": 0})")), HasSubstr("none or number > 0"));
  EXPECT_THAT(refusal(json(R"({"seed": -1})")), HasSubstr("none or integer >= 0"));
}

TEST(Options, NumbersThatNoIntegerHoldsAreRefused) {
  EXPECT_EQ(refusal(json(R"({"seed": 9223372036854775807})")), "accepted");
  EXPECT_THAT(refusal(json(R"({"seed": 9223372036854775808})")), HasSubstr("[seed]"));
  EXPECT_THAT(refusal(json(R"({"seed": 18446744073709551615})")), HasSubstr("[seed]"));
  EXPECT_THAT(refusal(json(R"({"seed": 1e300})")), HasSubstr("[seed]"));
  EXPECT_THAT(refusal(Json{{"optim", {{"lr", std::nan("")}}}}), HasSubstr("[optim.lr]"));
}

TEST(Options, WholeFloatsAreIntegersAndSinglesAreLists) {
  SampleOptions options;
  assign(options, json(R"({"epochs": 3.0, "sizes": 4, "tags": "one", "name": 18})"));
  EXPECT_EQ(options.epochs, 3);
  EXPECT_THAT(options.sizes, ElementsAre(4));
  EXPECT_THAT(options.tags, ElementsAre("one"));
  EXPECT_EQ(options.name, "18");
}

TEST(Options, EnumsNameTheirValues) {
  EXPECT_EQ(refusal(json(R"({"optim": {"decay": "cosin"}})")),
            "[optim.decay] has a value it cannot take. Expected one of constant, cosine, step. "
            "Received cosin. "
            "Hint: did you mean 'cosine'?");
}

TEST(Options, RefusedBytesDoNotBreakTheMessage) {
  EXPECT_THAT(refusal(Json{{"epochs", "\xff\xfe"}}), HasSubstr("[epochs]"));
}

TEST(Options, ARefusedMemberKeepsItsValue) {
  SampleOptions options;
  EXPECT_THROW(assign(options, json(R"({"sizes": [5, 6, 1000]})")), Error);
  EXPECT_THAT(options.sizes, ElementsAre(1, 2));
}

TEST(Options, SerialisedFormRestoresEveryMember) {
  SampleOptions options{.name = "true", .epochs = 77};
  options.optim = {.lr = 0.1 + 0.2, .nesterov = true, .decay = Decay::constant};
  options.inner.optim.lr = 1e-300;
  options.sizes = {};
  options.mean = {1.0 / 3, 0};
  options.tags = {"none", "", "a,b"};
  options.seed = 123456789012345678;
  options.clip = std::nullopt;
  options.model = Component("hyper", Json{{"streams", 4}, {"deep", {{"er", {1, 2}}}}});
  const std::string text = options_to_json(options).dump();
  SampleOptions restored;
  assign(restored, Json::parse(text));
  EXPECT_EQ(options_to_json(restored).dump(), text);
  EXPECT_EQ(restored.optim.lr, 0.1 + 0.2);
  EXPECT_EQ(restored.inner.optim.lr, 1e-300);
  EXPECT_TRUE(restored.sizes.empty());
  EXPECT_EQ(restored.seed, 123456789012345678);
  EXPECT_EQ(restored.clip, std::nullopt);
  EXPECT_EQ(restored.limit, std::numeric_limits<double>::infinity());
  EXPECT_EQ(restored.model.name, "hyper");
  EXPECT_EQ((*restored.model.options)["deep"]["er"][1], 2);
}

TEST(Options, ComponentsComeAsNamesOrTables) {
  SampleOptions options;
  assign(options, json(R"({"model": "vit"})"));
  EXPECT_EQ(options.model.name, "vit");
  EXPECT_TRUE(options.model.options_or_empty().empty());
  assign(options, json(R"({"model": {"name": "mlp", "width": 3}})"));
  EXPECT_EQ(options.model.name, "mlp");
  EXPECT_EQ(options.model.options_or_empty(), json(R"({"width": 3})"));
  assign(options,
         json(R"({"model": {"depth": 2}})"));  // no name: the one that is there, and its options
  EXPECT_EQ(options.model.name, "mlp");
  EXPECT_EQ(options.model.options_or_empty(), json(R"({"width": 3, "depth": 2})"));
  assign(options, json(R"({"model": "cnn"})"));
  EXPECT_TRUE(options.model.options_or_empty().empty());
}

TEST(Range, TextAndContentsAgree) {
  EXPECT_EQ((Range{.min = 0, .max = 1, .open_max = true}.text()), "in [0, 1)");
  EXPECT_EQ((Range{.min = 0, .open_min = true}.text()), "> 0");
  EXPECT_EQ((Range{.max = 5}.text()), "<= 5");
  EXPECT_EQ(Range{}.text(), "");
  EXPECT_TRUE((Range{.min = 0, .max = 1, .open_max = true}.contains(0)));
  EXPECT_FALSE((Range{.min = 0, .max = 1, .open_max = true}.contains(1)));
  EXPECT_FALSE((Range{.min = 0, .open_min = true}.contains(0)));
  EXPECT_TRUE(Range{}.contains(-1e308));
}

}  // namespace
}  // namespace residua
