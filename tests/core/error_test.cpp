#include "residua/core/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace residua {
namespace {

TEST(Error, MessageHasEveryPartThatIsGiven) {
  const Error error(ErrorKind::invalid_argument, {.where = "optim.lr",
                                                  .rule = "must be positive",
                                                  .expected = "a number > 0",
                                                  .received = "-0.1",
                                                  .hint = "try 0.1"});
  EXPECT_STREQ(error.what(),
               "[optim.lr] must be positive. Expected a number > 0. Received -0.1. Hint: try 0.1.");
  EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(error.text().received, "-0.1");
}

TEST(Error, EmptyPartsAndFullStopsAreNotRepeated) {
  EXPECT_STREQ(Error(ErrorKind::io, {.rule = "broke"}).what(), "broke.");
  EXPECT_STREQ(Error(ErrorKind::io, {.where = "f", .rule = "It broke.", .hint = "did you?"}).what(),
               "[f] It broke. Hint: did you?");
}

TEST(Error, ExitCodesTellOurBugFromTheUsersError) {
  for (const ErrorKind kind :
       {ErrorKind::invalid_argument, ErrorKind::shape, ErrorKind::not_found,
        ErrorKind::corrupt_file, ErrorKind::limit, ErrorKind::unsupported, ErrorKind::io})
    EXPECT_EQ(Error(kind, {.rule = "x"}).exit_code(), 2) << to_string(kind);
  EXPECT_EQ(Error(ErrorKind::internal, {.rule = "x"}).exit_code(), 70);
}

TEST(Error, IoErrorsSayWhatTheSystemSaid) {
  const auto kind_of = [](int code) {
    try {
      throw_io_error("a/file", "open it", code);
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).find("[a/file] could not open it: "), 0u) << e.what();
      return e.kind();
    }
  };
  EXPECT_EQ(kind_of(ENOENT), ErrorKind::not_found);
  EXPECT_EQ(kind_of(EACCES), ErrorKind::io);
  EXPECT_EQ(kind_of(ENOSPC), ErrorKind::io);
}

TEST(EditDistance, CountsInsertionsDeletionsChangesAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("trian", "train"), 1u);
  EXPECT_EQ(edit_distance("rl", "lr"), 1u);
  EXPECT_EQ(edit_distance("ca", "abc"), 3u);  // optimal string alignment, no edits inside a swap
}

TEST(NearestNames, AreSortedAndAtMostThree) {
  const std::vector<std::string> names{"resnet18", "resnet20", "resnet34", "resnet50", "vit"};
  EXPECT_EQ(nearest_names_hint("resnet19", names),
            "did you mean 'resnet18', 'resnet20' or 'resnet34'?");
  EXPECT_EQ(nearest_names_hint("resnt50", names).find("did you mean 'resnet50'"), 0u);
  EXPECT_EQ(nearest_names_hint("tiv", std::vector<std::string>{"vit"}), "");
  EXPECT_EQ(nearest_names_hint("viit", names), "did you mean 'vit'?");
}

TEST(NearestNames, FindsWhatContainsTheWord) {
  EXPECT_EQ(nearest_names_hint("moment", std::vector<std::string>{"nesterov_momentum"}),
            "did you mean 'nesterov_momentum'?");
}

TEST(NearestNames, ShortWordsAreNotNearEverything) {
  EXPECT_EQ(nearest_names_hint("lr", std::vector<std::string>{"wd", "bs", "ema"}), "");
  EXPECT_EQ(nearest_names_hint("rl", std::vector<std::string>{"wd", "lr"}), "did you mean 'lr'?");
  EXPECT_EQ(nearest_names_hint("", std::vector<std::string>{"wd"}), "");
}

}  // namespace
}  // namespace residua
