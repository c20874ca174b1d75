#pragma once
// Loops over threads (internal to runtime). The threads are OpenMP's, which oneDNN uses too.

#include <algorithm>
#include <cstdint>

namespace residua {

// Calls call(context, 0 .. parts - 1), each on a thread of its own.
void run_parts(int parts, void (*call)(const void* context, int64_t part), const void* context);

// Calls body(begin, end) for equal parts of [0, count), one for each thread; parts have at least
// `grain` items. Allocates nothing.
template <class Body>
void parallel_parts(int threads, int64_t count, int64_t grain, const Body& body) {
  const int64_t parts =
      std::max<int64_t>(1, std::min<int64_t>(threads, count / std::max<int64_t>(grain, 1)));
  if (parts == 1) return body(int64_t{0}, count);
  struct Context {
    const Body& body;
    int64_t count, parts;
  } const context{body, count, parts};
  const auto call = [](const void* data, int64_t part) {
    const auto& c = *static_cast<const Context*>(data);
    c.body(c.count * part / c.parts, c.count * (part + 1) / c.parts);
  };
  run_parts(static_cast<int>(parts), call, &context);
}

// The calling thread's number of OpenMP threads, for as long as the object lives. oneDNN asks for
// it when a primitive is made and when it runs.
class ThreadCount {
 public:
  explicit ThreadCount(int count);
  ~ThreadCount();
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

}  // namespace residua
