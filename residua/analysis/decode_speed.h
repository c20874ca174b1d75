#pragma once
// How fast a GPT whose weights are cut over ranks decodes, by how its residual stream waits for the
// sums over the ranks: perf of "Ladder-residual" (arXiv:2501.06589).

#include <memory>
#include <string>
#include <vector>

#include "residua/analysis/probe.h"
#include "residua/nn/collective.h"

namespace residua {

struct DecodeSpeedOptions {
  int64_t dim = 512;
  int64_t depth = 6;
  int64_t heads = 8;
  int64_t kv_heads = 4;
  int64_t tokens = 32;
  int64_t repeats = 3;
  std::vector<int64_t> latencies = {0, 200, 1000};
  int64_t world = 2;
  void fields(Fields& f);
};

// How the stream meets the sums.
struct DecodeLayout {
  std::string name;
  Component connection;
  bool sums = true;  // false: without any, the bound of all networks
};

// standard, parallel, ladder, desync, bound.
const std::vector<DecodeLayout>& decode_layouts();

struct DecodeSpeed {
  std::string layout;
  int64_t latency = 0;           // microseconds added to each sum
  double tokens_per_second = 0;  // median of the repeats
  int64_t sums_per_token = 0;
};

// All layouts at all latencies, one after the other within each repeat. Called by every rank with
// the same arguments.
std::vector<DecodeSpeed> measure_decoding(const DecodeSpeedOptions& options,
                                          const std::shared_ptr<Collective>& ranks,
                                          const Random& random);

// decode-speed: on ranks that are threads. Metrics LAYOUT.usLATENCY, tokens per second.
void add_decode_speed_probe(Registry<Probe>& probes);

}  // namespace residua
