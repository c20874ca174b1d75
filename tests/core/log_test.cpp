#include "residua/core/log.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace residua {
namespace {

TEST(Log, GoesToTheSinkAndNowhereWithoutOne) {
  std::vector<std::string> seen;
  set_log_sink([&](LogLevel level, std::string_view message) {
    seen.push_back(std::to_string(static_cast<int>(level)) + std::string(message));
  });
  log_message(LogLevel::debug, "a");
  log_message(LogLevel::error, "b");
  set_log_sink(nullptr);
  log_message(LogLevel::error, "dropped");
  EXPECT_EQ(seen, (std::vector<std::string>{"0a", "3b"}));
}

TEST(Log, ThreadsCallTheSinkOneAtATime) {
  int inside = 0, overlaps = 0,
      calls = 0;  // not atomic: the sink's own protection is what is tested
  set_log_sink([&](LogLevel, std::string_view) {
    overlaps += ++inside != 1;
    ++calls;
    --inside;
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 2000; ++i) log_message(LogLevel::info, "x");
    });
  for (std::thread& thread : threads) thread.join();
  set_log_sink(nullptr);
  EXPECT_EQ(calls, 8000);
  EXPECT_EQ(overlaps, 0);
}

}  // namespace
}  // namespace residua
