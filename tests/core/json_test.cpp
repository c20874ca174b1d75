#include "residua/core/json.h"

#include <gtest/gtest.h>

#include "residua/core/error.h"

namespace residua {
namespace {

ErrorKind parse_failure(const std::string& text) {
  try {
    parse_json(text, "here");
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find("[here] "), 0u) << e.what();
    return e.kind();
  }
  ADD_FAILURE() << "accepted: " << text.substr(0, 40);
  return ErrorKind::internal;
}

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_json(R"({"z":1,"a":{"y":2,"b":3}})", "here").dump(),
            R"({"z":1,"a":{"y":2,"b":3}})");
}

TEST(Json, BrokenTextNamesItsSource) {
  for (const char* text : {"", "{", "[1,]", "{\"a\":}", "nul", "\"\xff\"", "{} {}", "1e999"})
    EXPECT_EQ(parse_failure(text), ErrorKind::corrupt_file) << text;
}

TEST(Json, DepthIsLimited) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(100), "here"));
  EXPECT_EQ(parse_failure(nested(101)), ErrorKind::limit);
  EXPECT_EQ(parse_failure(std::string(1000000, '[')), ErrorKind::limit);
  EXPECT_NO_THROW(parse_json(nested(3), "here", 3));
  EXPECT_THROW(parse_json(nested(4), "here", 3), Error);
}

TEST(Json, TextOfAnyBytes) {
  EXPECT_EQ(json_text(Json{{"a", "\xff"}}), "{\"a\":\"\xEF\xBF\xBD\"}");
  EXPECT_EQ(json_text(1.5), "1.5");
}

}  // namespace
}  // namespace residua
