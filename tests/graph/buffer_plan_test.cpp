// Planned memory never holds two living values at one place.
#include "residua/graph/buffer_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "residua/core/error.h"
#include "residua/core/random.h"

namespace residua {
namespace {

BufferProblem chain(const std::vector<int64_t>& bytes, bool in_place = false) {
  BufferProblem p{.bytes = bytes, .operations = {}, .given = {0}, .wanted = {}};
  for (int64_t i = 0; i + 1 < static_cast<int64_t>(bytes.size()); ++i)
    p.operations.push_back({.reads = {i}, .writes = {i + 1}, .in_place = in_place});
  p.wanted = {static_cast<int64_t>(bytes.size()) - 1};
  return p;
}

// Each operation reads one to three values that were written before.
BufferProblem random_graph(Random random) {
  BufferProblem p{.bytes = {random.integer(1, 100)}, .operations = {}, .given = {0}, .wanted = {}};
  for (int64_t i = 1; i < 40; ++i) {
    const bool same_size = random.bernoulli(0.5);
    p.bytes.push_back(same_size ? p.bytes.back() : random.integer(1, 100));
    BufferOperation op{.reads = {i - 1}, .writes = {i}, .in_place = same_size};
    for (int64_t extra = random.integer(0, 3); extra > 0; --extra)
      op.reads.push_back(random.integer(std::max<int64_t>(0, i - 8), i));
    p.operations.push_back(op);
  }
  p.wanted = {39, 20};
  return p;
}

// Fills memory as the operations run, and looks whether every value is still itself when it is
// read.
bool survives(const BufferProblem& p, const BufferPlan& plan) {
  std::vector<int64_t> memory(static_cast<size_t>(plan.bytes), -1);
  const auto write = [&](int64_t v) {
    const auto begin = memory.begin() + plan.offset[static_cast<size_t>(v)];
    std::fill(begin, begin + p.bytes[static_cast<size_t>(v)], v);
  };
  const auto intact = [&](int64_t v) {
    const auto begin = memory.begin() + plan.offset[static_cast<size_t>(v)];
    return std::all_of(begin, begin + p.bytes[static_cast<size_t>(v)],
                       [v](int64_t owner) { return owner == v; });
  };
  for (const int64_t v : p.given) write(v);
  for (const BufferOperation& op : p.operations) {
    for (const int64_t v : op.reads)
      if (!intact(v)) return false;
    for (const int64_t v : op.writes) {
      write(v);
      // Only an operation in place may destroy what it reads.
      for (size_t r = 0; r < op.reads.size(); ++r) {
        const bool joined =
            plan.buffer[static_cast<size_t>(v)] == plan.buffer[static_cast<size_t>(op.reads[r])];
        if (!joined && !intact(op.reads[r])) return false;
        if (joined && !op.in_place) return false;
      }
    }
  }
  return std::all_of(p.wanted.begin(), p.wanted.end(), intact);
}

TEST(BufferPlan, KeepsLivingValuesApart) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const BufferProblem p = random_graph(Random(seed));
    const int64_t bound = most_live_bytes(p);
    for (const bool in_place : {false, true}) {
      for (const bool share : {false, true}) {
        const BufferPlan plan = plan_buffers(p, {.in_place = in_place, .share = share});
        EXPECT_TRUE(survives(p, plan)) << seed;
        if (!in_place) {
          EXPECT_GE(plan.bytes, bound);
        }
      }
    }
  }
}

TEST(BufferPlan, ReachesTheLowerBoundOnChains) {
  EXPECT_EQ(plan_buffers(chain({15, 9, 8, 9, 15}), {.in_place = false}).bytes, 24);
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed);
    std::vector<int64_t> bytes(30);
    for (int64_t& b : bytes) b = random.integer(1, 1000);
    const BufferProblem p = chain(bytes);
    int64_t bound = 0;
    for (size_t i = 0; i + 1 < bytes.size(); ++i) bound = std::max(bound, bytes[i] + bytes[i + 1]);
    EXPECT_EQ(most_live_bytes(p), bound);
    const BufferPlan plan = plan_buffers(p, {.in_place = false});
    EXPECT_EQ(plan.bytes, bound) << seed;
    EXPECT_TRUE(survives(p, plan));
  }
}

TEST(BufferPlan, InPlaceChainsNeedOneBufferBesideTheInput) {
  const BufferProblem p = chain(std::vector<int64_t>(10, 64), true);
  EXPECT_EQ(plan_buffers(p, {.in_place = true, .share = false}).bytes, 128);
  EXPECT_EQ(plan_buffers(p, {.in_place = false, .share = false}).bytes, 640);
}

TEST(BufferPlan, Aligns) {
  const BufferPlan plan = plan_buffers(chain({1, 2, 3}), {.share = false, .alignment = 64});
  EXPECT_EQ(plan.offset, (std::vector<int64_t>{0, 64, 128}));
}

TEST(BufferPlan, RefusesWhatCannotRun) {
  const auto refused = [](BufferProblem p) {
    try {
      live_ranges(p);
    } catch (const Error& e) {
      return e.kind() == ErrorKind::invalid_argument;
    }
    return false;
  };
  BufferProblem p = chain({1, 1, 1});
  p.operations[0].reads = {2};
  EXPECT_TRUE(refused(p));
  p = chain({1, 1, 1});
  p.operations[1].writes = {1};
  EXPECT_TRUE(refused(p));
  p = chain({1, 1, 1});
  p.operations[1].reads = {3};
  EXPECT_TRUE(refused(p));
  p = chain({1, 1});
  p.bytes.push_back(1);
  p.wanted = {2};
  EXPECT_TRUE(refused(p));
}

}  // namespace
}  // namespace residua
