#include "residua/graph/buffer_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "residua/core/error.h"

namespace residua {

namespace {

// Values joined into one piece of memory.
struct Buffer {
  int64_t bytes = 0;
  LiveRange range;
};

[[noreturn]] void wrong_value(int64_t value, const std::string& rule) {
  throw Error(ErrorKind::invalid_argument,
              {.where = "buffers", .rule = rule, .received = fmt::format("value {}", value)});
}

// The buffer of each value.
std::vector<int64_t> join_in_place(const BufferProblem& p, const std::vector<LiveRange>& ranges,
                                   bool in_place) {
  std::vector<int64_t> buffer(p.bytes.size());
  std::iota(buffer.begin(), buffer.end(), 0);
  for (int64_t i = 0; in_place && i < static_cast<int64_t>(p.operations.size()); ++i) {
    const BufferOperation& op = p.operations[static_cast<size_t>(i)];
    if (!op.in_place || op.reads.empty() || op.writes.empty()) continue;
    const auto from = static_cast<size_t>(op.reads.front()),
               to = static_cast<size_t>(op.writes.front());
    const bool given = ranges[from].first<0, read_later = ranges[from].last> i;
    if (!given && !read_later && p.bytes[from] == p.bytes[to]) buffer[to] = buffer[from];
  }
  return buffer;
}

int64_t aligned(int64_t bytes, int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

// The lowest place that nothing alive at the same time takes.
int64_t lowest_place(const std::vector<Buffer>& buffers, const std::vector<int64_t>& offset,
                     const std::vector<size_t>& placed, const Buffer& buffer) {
  std::vector<std::pair<int64_t, int64_t>> taken;
  for (const size_t other : placed)
    if (buffers[other].range.overlaps(buffer.range))
      taken.emplace_back(offset[other], offset[other] + buffers[other].bytes);
  std::sort(taken.begin(), taken.end());
  int64_t place = 0;
  for (const auto& [begin, end] : taken) {
    if (place + buffer.bytes <= begin) break;
    place = std::max(place, end);
  }
  return place;
}

struct Placement {
  std::vector<int64_t> offset;
  int64_t bytes = 0;
};

Placement place_in_order(const std::vector<Buffer>& buffers, const std::vector<size_t>& order) {
  Placement p{std::vector<int64_t>(buffers.size(), 0), 0};
  std::vector<size_t> placed;
  for (const size_t i : order) {
    p.offset[i] = lowest_place(buffers, p.offset, placed, buffers[i]);
    p.bytes = std::max(p.bytes, p.offset[i] + buffers[i].bytes);
    placed.push_back(i);
  }
  return p;
}

int64_t most_live(const std::vector<Buffer>& buffers) {
  std::vector<std::pair<int64_t, int64_t>> changes;  // ends of a moment come after its beginnings
  for (const Buffer& b : buffers) {
    if (b.range.last < b.range.first) continue;
    changes.emplace_back(2 * b.range.first, b.bytes);
    changes.emplace_back(2 * b.range.last + 1, -b.bytes);
  }
  std::sort(changes.begin(), changes.end());
  int64_t live = 0, most = 0;
  for (const auto& [when, bytes] : changes) most = std::max(most, live += bytes);
  return most;
}

// Alternately from both ends of the smallest block that could do: fits whenever each buffer meets
// only the next one, as in a chain. Empty when it does not fit.
Placement place_from_both_ends(const std::vector<Buffer>& buffers,
                               const std::vector<size_t>& by_time) {
  Placement p{std::vector<int64_t>(buffers.size(), 0), most_live(buffers)};
  bool upper = false;
  for (const size_t i : by_time) {
    p.offset[i] = upper ? p.bytes - buffers[i].bytes : 0;
    upper = !upper;
  }
  for (size_t k = 0; k < by_time.size(); ++k) {
    for (size_t l = k + 1; l < by_time.size(); ++l) {
      const size_t i = by_time[k], j = by_time[l];
      if (buffers[j].range.first > buffers[i].range.last) break;
      const bool apart = p.offset[i] + buffers[i].bytes <= p.offset[j] ||
                         p.offset[j] + buffers[j].bytes <= p.offset[i];
      if (!apart) return {};
    }
  }
  return p;
}

Placement place_buffers(const std::vector<Buffer>& buffers, bool share) {
  std::vector<size_t> order;
  for (size_t i = 0; i < buffers.size(); ++i)
    if (buffers[i].range.last >= buffers[i].range.first) order.push_back(i);
  if (!share) {
    Placement p{std::vector<int64_t>(buffers.size(), 0), 0};
    for (const size_t i : order) {
      p.offset[i] = p.bytes;
      p.bytes += buffers[i].bytes;
    }
    return p;
  }
  std::vector<size_t> by_time = order, by_size = order;
  std::stable_sort(by_time.begin(), by_time.end(), [&](size_t a, size_t b) {
    return buffers[a].range.first < buffers[b].range.first;
  });
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  Placement best = place_in_order(buffers, by_size);
  for (Placement other : {place_in_order(buffers, by_time), place_from_both_ends(buffers, by_time)})
    if (!other.offset.empty() && other.bytes < best.bytes) best = std::move(other);
  return best;
}

std::vector<Buffer> buffers_of(const BufferProblem& p, const std::vector<LiveRange>& ranges,
                               const std::vector<int64_t>& buffer, int64_t alignment) {
  std::vector<Buffer> buffers(p.bytes.size());
  for (size_t v = 0; v < p.bytes.size(); ++v) {
    Buffer& b = buffers[static_cast<size_t>(buffer[v])];
    b.bytes = std::max(b.bytes, aligned(p.bytes[v], alignment));
    if (ranges[v].last < ranges[v].first) continue;
    const bool fresh = b.range.last < b.range.first;
    b.range.first = fresh ? ranges[v].first : std::min(b.range.first, ranges[v].first);
    b.range.last = fresh ? ranges[v].last : std::max(b.range.last, ranges[v].last);
  }
  return buffers;
}

}  // namespace

std::vector<LiveRange> live_ranges(const BufferProblem& p) {
  const auto values = static_cast<int64_t>(p.bytes.size());
  std::vector<LiveRange> ranges(p.bytes.size());
  std::vector<bool> there(p.bytes.size(), false);
  const auto check = [&](int64_t v) {
    if (v < 0 || v >= values) wrong_value(v, "has no size");
    return static_cast<size_t>(v);
  };
  for (const int64_t v : p.given) {
    ranges[check(v)] = {-1, -1};
    there[static_cast<size_t>(v)] = true;
  }
  for (int64_t i = 0; i < static_cast<int64_t>(p.operations.size()); ++i) {
    const BufferOperation& op = p.operations[static_cast<size_t>(i)];
    for (const int64_t v : op.reads) {
      if (!there[check(v)]) wrong_value(v, "is read before it is written");
      ranges[static_cast<size_t>(v)].last = i;
    }
    for (const int64_t v : op.writes) {
      if (there[check(v)]) wrong_value(v, "is written twice");
      ranges[static_cast<size_t>(v)] = {i, i};
      there[static_cast<size_t>(v)] = true;
    }
  }
  for (const int64_t v : p.wanted) {
    if (!there[check(v)]) wrong_value(v, "is wanted but never written");
    ranges[static_cast<size_t>(v)].last = static_cast<int64_t>(p.operations.size());
  }
  return ranges;
}

int64_t most_live_bytes(const BufferProblem& p) {
  const std::vector<LiveRange> ranges = live_ranges(p);
  return most_live(buffers_of(p, ranges, join_in_place(p, ranges, false), 1));
}

BufferPlan plan_buffers(const BufferProblem& p, const BufferOptions& options) {
  const std::vector<LiveRange> ranges = live_ranges(p);
  BufferPlan plan;
  plan.buffer = join_in_place(p, ranges, options.in_place);
  const Placement placed =
      place_buffers(buffers_of(p, ranges, plan.buffer, options.alignment), options.share);
  plan.bytes = placed.bytes;
  for (const int64_t b : plan.buffer) plan.offset.push_back(placed.offset[static_cast<size_t>(b)]);
  return plan;
}

}  // namespace residua
