#include "residua/core/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace residua {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Shape {
  int64_t area = 0;
};

struct BoxOptions {
  int64_t width = 2, height = 3;
  void fields(Fields& f) {
    f.add("width", width, "width", {.min = 1});
    f.add("height", height, "height", {.min = 1});
  }
};

Registry<Shape, int64_t> shapes() {
  Registry<Shape, int64_t> registry("shape");
  const auto make = [](const BoxOptions& o, int64_t scale) {
    return std::make_shared<Shape>(Shape{o.width * o.height * scale});
  };
  registry.add({.name = "box", .help = "a box", .paper = "boxes"}, BoxOptions{}, make);
  registry.add({.name = "boxlong"}, BoxOptions{.width = 10}, make);
  registry.add({.name = "point"}, BoxOptions{.width = 1, .height = 1}, make);
  return registry;
}

std::string message_of(const std::function<void()>& act, ErrorKind kind) {
  try {
    act();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    return e.what();
  }
  return "nothing thrown";
}

TEST(Registry, CreatesFromDefaultsOptionsAndArguments) {
  const auto registry = shapes();
  EXPECT_EQ(registry.create("box", 1)->area, 6);
  EXPECT_EQ(registry.create("boxlong", 2)->area, 60);
  EXPECT_EQ(registry.create(Component("box", Json{{"width", 5}}), 10)->area, 150);
  EXPECT_EQ(registry.create("box", 1)->area, 6);  // the defaults were not changed
}

TEST(Registry, ListsByPatternSorted) {
  EXPECT_THAT(shapes().list(), ElementsAre("box", "boxlong", "point"));
  EXPECT_THAT(shapes().list("box*"), ElementsAre("box", "boxlong"));
  EXPECT_THAT(shapes().list("?ox"), ElementsAre("box"));
  EXPECT_THAT(shapes().list("none*"), ElementsAre());
}

TEST(Registry, UnknownNamesHintTheNearest) {
  const auto registry = shapes();
  EXPECT_EQ(message_of([&] { registry.create("boks", 1); }, ErrorKind::not_found),
            "[boks] is not the name of a shape. Hint: did you mean 'box'?");
  EXPECT_THAT(message_of([&] { registry.create("zzzzzzzz", 1); }, ErrorKind::not_found),
              HasSubstr("`residua list shapes`"));
  EXPECT_FALSE(registry.contains("boks"));
  EXPECT_TRUE(registry.contains("box"));
}

TEST(Registry, OptionsAreCheckedUnderTheKind) {
  const auto registry = shapes();
  const auto create = [&](Json options) {
    return [&registry, options] { registry.create(Component("box", options), 1); };
  };
  EXPECT_THAT(message_of(create({{"widht", 5}}), ErrorKind::invalid_argument),
              HasSubstr("[shape.widht] is not an option. Hint: did you mean 'width'"));
  EXPECT_THAT(message_of(create({{"width", 0}}), ErrorKind::invalid_argument),
              HasSubstr("[shape.width]"));
}

TEST(Registry, ResolveSpellsOutEveryOption) {
  const auto registry = shapes();
  const Component resolved = registry.resolve(Component("boxlong", Json{{"height", 7}}));
  EXPECT_EQ(resolved.name, "boxlong");
  EXPECT_EQ(*resolved.options, (Json{{"width", 10}, {"height", 7}}));
  EXPECT_EQ(registry.create(resolved, 1)->area, 70);
  EXPECT_THAT(registry.find("boxlong").help("shape"), HasSubstr("shape.width"));
  EXPECT_THAT(registry.find("boxlong").help(""), HasSubstr("default 10"));
  EXPECT_THAT(registry.find("box").keys("shape"), ElementsAre("shape.width", "shape.height"));
}

TEST(Registry, ANameIsTakenOnce) {
  auto registry = shapes();
  EXPECT_THAT(message_of(
                  [&] {
                    registry.add({.name = "box"}, BoxOptions{}, [](const BoxOptions&, int64_t) {
                      return std::make_shared<Shape>();
                    });
                  },
                  ErrorKind::internal),
              HasSubstr("shape box] is registered twice"));
}

}  // namespace
}  // namespace residua
