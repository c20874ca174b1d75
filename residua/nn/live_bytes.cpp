#include "residua/nn/live_bytes.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/version.h>

#include <atomic>
#include <mutex>
#include <unordered_map>

namespace residua {

namespace {

#if TORCH_VERSION_MAJOR >= 2
using ReportedTotal = size_t;
#else
using ReportedTotal = int64_t;
#endif

c10::MemoryReportingInfoBase* present_listener() {
  return static_cast<c10::MemoryReportingInfoBase*>(
      c10::ThreadLocalDebugInfo::get(c10::DebugInfoKind::PROFILER_STATE));
}

}  // namespace

// Passes on to whoever listened before: another meter, or libtorch's profiler.
class LiveBytes::Listener final : public c10::MemoryReportingInfoBase {
 public:
  explicit Listener(c10::MemoryReportingInfoBase* outer) : outer_(outer) {}

  void reportMemoryUsage(void* data, int64_t size, ReportedTotal allocated, ReportedTotal reserved,
                         c10::Device device) override {
    if (device.is_cpu()) count(data, size);
    if (outer_) outer_->reportMemoryUsage(data, size, allocated, reserved, device);
  }
  bool memoryProfilingEnabled() const override { return true; }

  std::atomic<int64_t> now = 0, peak = 0;

 private:
  // libtorch's own table forgets what is released while nobody listens; this one holds what was
  // allocated under this meter alone.
  void count(void* data, int64_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (size > 0) {
      sizes_[data] = size;
      now += size;
      if (now > peak) peak = now.load();
      return;
    }
    const auto found = sizes_.find(data);
    if (found == sizes_.end()) return;
    now -= found->second;
    sizes_.erase(found);
  }

  std::mutex mutex_;
  std::unordered_map<void*, int64_t> sizes_;
  c10::MemoryReportingInfoBase* outer_;
};

struct LiveBytes::Meter {
  Meter()
      : listener(std::make_shared<Listener>(present_listener())),
        guard(c10::DebugInfoKind::PROFILER_STATE, listener) {}
  std::shared_ptr<Listener> listener;
  c10::DebugInfoGuard guard;
};

LiveBytes::LiveBytes() : meter_(std::make_unique<Meter>()) {}
LiveBytes::~LiveBytes() = default;

int64_t LiveBytes::now() const { return meter_->listener->now; }
int64_t LiveBytes::peak() const { return meter_->listener->peak; }
void LiveBytes::reset_peak() { meter_->listener->peak = meter_->listener->now.load(); }

}  // namespace residua
