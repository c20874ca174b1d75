#include "residua/runtime/weight_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace residua {

namespace {

constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;

size_t rounded_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

// Large blocks lie on huge pages where the system has them: fewer faults when they are filled, and
// fewer misses of the table of pages when they are read.
std::shared_ptr<std::byte> aligned_bytes(int64_t bytes) {
  const size_t size = rounded_up(static_cast<size_t>(std::max<int64_t>(bytes, 1)), kLine);
  const bool huge = size >= 2 * kHugePage;
  const size_t unit = huge ? kHugePage : kLine;
  auto* data = static_cast<std::byte*>(std::aligned_alloc(unit, rounded_up(size, unit)));
  if (data == nullptr) throw std::bad_alloc();
  if (huge) ::madvise(data, size / kHugePage * kHugePage, MADV_HUGEPAGE);  // may be refused
  return {data, [](std::byte* p) { std::free(p); }};
}

std::shared_ptr<const void> WeightStore::get(
    const std::shared_ptr<const void>& source, const std::string& key,
    const std::function<std::shared_ptr<const void>()>& make) {
  const std::lock_guard lock(mutex_);
  Entry& entry = packed_[{source.get(), key}];
  if (!entry.packed) entry = {source, make()};
  return entry.packed;
}

}  // namespace residua
