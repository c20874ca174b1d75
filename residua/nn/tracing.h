#pragma once
// Whether a network on this thread runs in order to be written down as a graph. Checks of numbers,
// which a graph cannot say, are left out then, and kernels of ours, which libtorch does not see,
// are written in its operations.

namespace residua {

bool is_tracing();

class Tracing {
 public:
  Tracing();
  ~Tracing();
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

 private:
  bool was_tracing_;
};

}  // namespace residua
