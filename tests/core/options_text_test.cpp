#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "residua/core/error.h"
#include "residua/core/options.h"
#include "tests/core/sample_options.h"

namespace residua {
namespace {

using residua::testing::SampleOptions;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json merged(std::initializer_list<const char*> overrides, Json start = Json::object()) {
  for (const char* text : overrides) merge_key_value(start, text);
  return start;
}

std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing thrown";
}

TEST(Toml, BecomesTheSameTreeAsJson) {
  const Json tree = parse_toml(
      "name = 'x'\nsizes = [1, 2]\nflag = true\n[optim]\nlr = 1e-3\n[optim.deep]\nk = -4\n", "f");
  EXPECT_EQ(tree,
            Json::parse(
                R"({"name":"x","sizes":[1,2],"flag":true,"optim":{"lr":0.001,"deep":{"k":-4}}})"));
}

TEST(Toml, ErrorsNameFileLineAndColumn) {
  EXPECT_THAT(message_of([] { parse_toml("a = 1\nb = = 2\n", "conf.toml"); }),
              HasSubstr("[conf.toml:2:5] is not valid TOML"));
  EXPECT_THAT(message_of([] { parse_toml("a = 1\na = 2\n", "conf.toml"); }),
              HasSubstr("conf.toml:2"));
  EXPECT_THAT(message_of([] { parse_toml("a = \"\xff\"", "conf.toml"); }),
              HasSubstr("not valid TOML"));
}

TEST(Toml, FilesThatCannotBeRead) {
  EXPECT_THAT(message_of([] { read_toml("/nowhere/conf.toml"); }), HasSubstr("No such file"));
  EXPECT_THAT(message_of([] { read_toml("/tmp"); }), HasSubstr("Is a directory"));
  const auto path = std::filesystem::temp_directory_path() / "residua_read_toml_test.toml";
  std::ofstream(path) << "[optim]\nlr = 0.5\n";
  EXPECT_EQ(read_toml(path)["optim"]["lr"], 0.5);
  std::filesystem::remove(path);
}

TEST(Toml, StructToTextToStruct) {
  SampleOptions options;
  options.optim.lr = 0.1 + 0.2;
  options.seed = 9;
  options.tags = {"with 'quotes'", "and \"these\"\n"};
  options.model = Component("hyper", Json{{"streams", 4}, {"list", {1.5, 2.5}}, {"on", true}});
  const Json before = options_to_json(options);
  SampleOptions restored;
  assign(restored, parse_toml(to_toml(before), "again"));
  EXPECT_EQ(nlohmann::json(options_to_json(restored)),
            nlohmann::json(before));  // whatever the order of keys
}

TEST(KeyValue, ValuesAreReadAsTomlOrElseAsText) {
  EXPECT_EQ(
      merged({"a=0.1", "b=true", "c=[1, 2]", "d={name=\"hyper\", streams=4}", "e=resnet20",
              "f=", "g=1e-3"}),
      Json::parse(
          R"({"a":0.1,"b":true,"c":[1,2],"d":{"name":"hyper","streams":4},"e":"resnet20","f":"","g":0.001})"));
  EXPECT_EQ(merged({"path=/data/a=b c", "quoted=\"x y\"", "odd=1\nw=2"}),
            (Json{{"path", "/data/a=b c"}, {"quoted", "x y"}, {"odd", "1\nw=2"}}));
}

TEST(KeyValue, DottedKeysNestAndLaterOnesWin) {
  EXPECT_EQ(merged({"optim.lr=0.1", "optim.deep.k=1", "optim.lr=0.2"}),
            Json::parse(R"({"optim":{"lr":0.2,"deep":{"k":1}}})"));
  EXPECT_EQ(merged({"optim.lr=0.1"}, Json::parse(R"({"optim":{"wd":1}})")),
            Json::parse(R"({"optim":{"wd":1,"lr":0.1}})"));
}

TEST(KeyValue, OthersAreRefused) {
  for (const char* text : {"lr", "=0.1", ""}) {
    Json tree;
    EXPECT_THAT(message_of([&] { merge_key_value(tree, text); }),
                HasSubstr("is not an override. Expected key=value"))
        << text;
  }
}

TEST(KeyValue, WordsThatLookLikeNumbersReachTextFields) {
  SampleOptions options;
  assign(options, merged({"name=inf"}));
  EXPECT_EQ(options.name, "inf");
  assign(options, merged({"name=18", "limit=-inf"}));
  EXPECT_EQ(options.name, "18");
  EXPECT_EQ(options.limit, -std::numeric_limits<double>::infinity());
}

TEST(Merge, OptionsOfAComponentFollowItsName) {
  EXPECT_EQ(merged({"model=resnet20", "model.width=2"}),
            Json::parse(R"({"model":{"name":"resnet20","width":2}})"));
  EXPECT_EQ(merged({"model.width=2", "model=resnet20"}),
            Json::parse(R"({"model":{"width":2,"name":"resnet20"}})"));
}

TEST(Merge, AnotherNameDropsTheOptionsTheSameNameKeepsThem) {
  const Json start = Json::parse(R"({"model":{"name":"resnet20","width":2}})");
  EXPECT_EQ(merged({"model=vit"}, start), Json::parse(R"({"model":"vit"})"));
  EXPECT_EQ(merged({"model=resnet20"}, start), start);
  EXPECT_EQ(merged({"model={name=\"vit\", heads=3}"}, start),
            Json::parse(R"({"model":{"name":"vit","heads":3}})"));
  EXPECT_EQ(merged({"model={name=\"resnet20\", n=3}"}, start),
            Json::parse(R"({"model":{"name":"resnet20","width":2,"n":3}})"));
}

TEST(Merge, IsDeepAndReplacesLists) {
  Json tree = Json::parse(R"({"a":{"b":[1,2],"c":1},"d":1})");
  merge(tree, Json::parse(R"({"a":{"b":[3]},"e":{"f":2}})"));
  EXPECT_EQ(tree, Json::parse(R"({"a":{"b":[3],"c":1},"d":1,"e":{"f":2}})"));
}

TEST(Help, EveryMemberHasALineWithRangeAndDefault) {
  SampleOptions options;
  const std::string text = help_text(describe(options), "train");
  EXPECT_THAT(text, HasSubstr("train.epochs"));
  EXPECT_THAT(text, HasSubstr("passes over the data (integer in [1, 1000]; default 10)"));
  EXPECT_THAT(text, HasSubstr("train.inner.optim.decay"));
  EXPECT_THAT(text, HasSubstr("(one of constant, cosine, step; default cosine)"));
  EXPECT_THAT(text, HasSubstr("(none or integer >= 0; default none)"));
  EXPECT_THAT(text, HasSubstr("(number; default inf)"));
  EXPECT_THAT(text, HasSubstr("(list of texts; default [])"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 16);
}

TEST(Help, MarkdownIsATable) {
  SampleOptions options;
  options.model = Component("hyper", Json{{"streams", 4}});
  const std::string text = markdown_table(describe(options));
  EXPECT_EQ(text.find("| option | default | values | meaning |\n| --- | --- | --- | --- |\n| "
                      "`name` | `run` | text | name of the run |\n"),
            0u);
  EXPECT_THAT(text, HasSubstr("| `optim.lr` | `0.1` | number in (0, 10] | peak learning rate |"));
  EXPECT_THAT(text, HasSubstr("`{\"name\":\"hyper\",\"streams\":4}`"));
}

TEST(Help, DottedKeysAreInOrder) {
  SampleOptions options;
  EXPECT_THAT(
      dotted_keys(describe(options)),
      ElementsAre("name", "epochs", "optim.lr", "optim.nesterov", "optim.decay", "inner.depth",
                  "inner.optim.lr", "inner.optim.nesterov", "inner.optim.decay", "sizes", "mean",
                  "tags", "seed", "clip", "limit", "model"));
}

}  // namespace
}  // namespace residua
