#pragma once
// How many bytes of tensors live: libtorch's CPU allocator tells of every allocation and release.

#include <cstdint>
#include <memory>

namespace residua {

// Counts the CPU memory of tensors that this thread allocates from now on, backward included, as
// long as the object lives. Memory from before is not counted, nor is its release. Meters nest;
// they must end in the opposite order.
class LiveBytes {
 public:
  LiveBytes();
  ~LiveBytes();
  LiveBytes(const LiveBytes&) = delete;
  LiveBytes& operator=(const LiveBytes&) = delete;

  int64_t now() const;
  int64_t peak() const;  // since the beginning or the last reset
  void reset_peak();

 private:
  class Listener;
  struct Meter;
  std::unique_ptr<Meter> meter_;
};

}  // namespace residua
