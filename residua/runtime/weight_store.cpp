#include "residua/runtime/weight_store.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace residua {

std::shared_ptr<std::byte> aligned_bytes(int64_t bytes) {
  const auto size = static_cast<size_t>((std::max<int64_t>(bytes, 1) + 63) / 64 * 64);
  auto* data = static_cast<std::byte*>(std::aligned_alloc(64, size));
  if (data == nullptr) throw std::bad_alloc();
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
