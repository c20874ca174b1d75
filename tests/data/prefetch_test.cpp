#include "residua/data/prefetch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>

namespace residua {
namespace {

class PrefetchWorkers : public ::testing::TestWithParam<int64_t> {};

TEST_P(PrefetchWorkers, HandOutEveryItemInOrder) {
  Prefetcher<std::string> prefetcher(
      GetParam(), 3, [](int64_t, int64_t number, const std::atomic<bool>&) {
        if (number % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
        return std::to_string(number);
      });
  for (int round = 0; round < 5; ++round) {
    prefetcher.start(round, 40);
    for (int number = round; number < 40; ++number)
      EXPECT_EQ(prefetcher.next(), std::to_string(number));
    EXPECT_FALSE(prefetcher.next());
    EXPECT_FALSE(prefetcher.next());
  }
}

TEST_P(PrefetchWorkers, ThrowAtTheItemThatFailed) {
  Prefetcher<int64_t> prefetcher(GetParam(), 4,
                                 [](int64_t, int64_t number, const std::atomic<bool>&) {
                                   if (number == 2 || number == 5)
                                     throw std::runtime_error("item " + std::to_string(number));
                                   return number;
                                 });
  prefetcher.start(0, 7);
  for (int64_t number = 0; number < 7; ++number) {
    if (number == 2 || number == 5) {
      EXPECT_THROW(prefetcher.next(), std::runtime_error);
    } else {
      EXPECT_EQ(prefetcher.next(), number);
    }
  }
  EXPECT_FALSE(prefetcher.next());
}

TEST_P(PrefetchWorkers, NeverRunFurtherAheadThanTheDepth) {
  std::atomic<int64_t> furthest{-1};
  Prefetcher<int64_t> prefetcher(
      GetParam(), 2, [&](int64_t, int64_t number, const std::atomic<bool>&) {
        int64_t seen = furthest;
        while (seen < number && !furthest.compare_exchange_weak(seen, number)) {
        }
        return number;
      });
  prefetcher.start(0, 30);
  for (int64_t number = 0; number < 30; ++number) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    EXPECT_LE(furthest, number + 1);
    EXPECT_EQ(prefetcher.next(), number);
  }
}

TEST_P(PrefetchWorkers, StartAnewAndStopAtAnyMoment) {
  for (int round = 0; round < 50; ++round) {
    Prefetcher<std::pair<int, int64_t>> prefetcher(
        GetParam(), 3, [&](int64_t, int64_t number, const std::atomic<bool>& cancelled) {
          for (int i = 0; i < 20 && !cancelled; ++i) std::this_thread::yield();
          return std::pair(round, number);
        });
    for (int run = 0; run < round % 4; ++run) {
      prefetcher.start(run, 100);
      for (int i = 0; i < (round + run) % 6; ++i)
        EXPECT_EQ(prefetcher.next(), std::pair(round, int64_t{run + i}));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Workers, PrefetchWorkers, ::testing::Values(0, 1, 2, 5));

}  // namespace
}  // namespace residua
