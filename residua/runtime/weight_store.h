#pragma once
// Constants in the order that kernels want, shared between the plans of one model (internal to
// runtime).

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace residua {

// Bytes aligned to a cache line, not set.
std::shared_ptr<std::byte> aligned_bytes(int64_t bytes);

class WeightStore {
 public:
  // What `make` gave at the first call for this source and key.
  std::shared_ptr<const void> get(const std::shared_ptr<const void>& source, const std::string& key,
                                  const std::function<std::shared_ptr<const void>()>& make);

 private:
  std::mutex mutex_;
  struct Entry {
    std::shared_ptr<const void> source, packed;  // the source lives on: its address is the key
  };
  std::map<std::pair<const void*, std::string>, Entry> packed_;
};

}  // namespace residua
