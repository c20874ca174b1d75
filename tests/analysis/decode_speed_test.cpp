#include "residua/analysis/decode_speed.h"

#include <gtest/gtest.h>

#include <map>

namespace residua {
namespace {

TEST(DecodeSpeed, CountsSumsAndWaitsForThem) {
  const auto probe = probes().create({"decode-speed",
                                      {{"dim", 16},
                                       {"depth", 2},
                                       {"heads", 2},
                                       {"kv_heads", 2},
                                       {"tokens", 4},
                                       {"repeats", 1},
                                       {"latencies", {0, 20000}}}});
  const ProbeResult result = probe->run({.random = Random(1)});
  std::map<std::string, double> metrics(result.metrics.begin(), result.metrics.end());
  EXPECT_EQ(metrics.at("standard.sums"), 4);
  EXPECT_EQ(metrics.at("ladder.sums"), 4);
  EXPECT_EQ(metrics.at("parallel.sums"), 2);
  EXPECT_EQ(metrics.at("desync.sums"), 2);
  EXPECT_EQ(metrics.at("bound.sums"), 0);
  // Four sums of 20 ms one after the other for each token.
  EXPECT_LT(metrics.at("standard.us20000"), 1 / 0.08);
  EXPECT_GT(metrics.at("bound.us20000"), metrics.at("standard.us20000"));
  EXPECT_EQ(result.series.size(), decode_layouts().size());
}

}  // namespace
}  // namespace residua
