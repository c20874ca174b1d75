#pragma once
// Memory of a list of operations, planned before it runs: from which operation to which each value
// lives, and where it lies in one block of memory ("Training Deep Nets with Sublinear Memory Cost",
// arXiv:1604.06174, section 3).
//
//   BufferPlan plan = plan_buffers({.bytes = {400, 400, 100}, .operations = {{.reads = {0}, .writes
//   = {1}}, {.reads = {1}, .writes = {2}}}, .given = {0}, .wanted = {2}}, {});

#include <cstdint>
#include <vector>

namespace residua {

struct BufferOperation {
  std::vector<int64_t> reads = {}, writes = {};  // values
  bool in_place = false;                         // may write its first output over its first input
};

struct BufferProblem {
  std::vector<int64_t> bytes = {};               // of each value
  std::vector<BufferOperation> operations = {};  // in the order of execution
  std::vector<int64_t> given = {};               // values that are there at the beginning
  std::vector<int64_t> wanted = {};              // values that are there at the end
};

// Operations from the one that writes a value to the last that reads it; given values begin at -1,
// wanted ones end at the number of operations. A value that nothing writes has last < first.
struct LiveRange {
  int64_t first = 0, last = -1;
  bool overlaps(const LiveRange& other) const { return first <= other.last && other.first <= last; }
};

// Throws ErrorKind::invalid_argument for a value out of range, written twice, or read before it is
// written.
std::vector<LiveRange> live_ranges(const BufferProblem& problem);

// The most bytes of values that live at the same time: no plan without in-place operations needs
// less.
int64_t most_live_bytes(const BufferProblem& problem);

struct BufferOptions {
  bool in_place =
      true;           // operations that may write over their input do, where it is not read later
  bool share = true;  // values that do not live at the same time may lie at the same place
  int64_t alignment = 1;
};

struct BufferPlan {
  std::vector<int64_t> offset;  // of each value
  std::vector<int64_t> buffer;  // values with equal numbers were joined by in-place operations
  int64_t bytes = 0;            // of the whole block
};

BufferPlan plan_buffers(const BufferProblem& problem, const BufferOptions& options);

}  // namespace residua
