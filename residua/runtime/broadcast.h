#pragma once
// Loops over arrays that repeat against each other (internal to runtime).

#include <array>

#include "residua/runtime/form.h"
#include "residua/runtime/parallel.h"

namespace residua {

// Up to three operands against a row-major result, axes joined where all of them allow it.
class Broadcast {
 public:
  static constexpr size_t kMost = 3;
  using Places = std::array<int64_t, kMost>;

  // Shapes are aligned at their ends; their axes are the result's or 1.
  Broadcast(const Shape& result, std::initializer_list<Shape> operands) {
    std::array<Shape, kMost> strides;
    size_t k = 0;
    for (const Shape& shape : operands) {
      strides[k].assign(result.size(), 0);
      int64_t step = 1;
      for (size_t i = shape.size(); i-- > 0;) {
        strides[k][result.size() - shape.size() + i] = shape[i] == 1 ? 0 : step;
        step *= shape[i];
      }
      ++k;
    }
    for (size_t a = 0; a < result.size(); ++a) {
      if (result[a] == 1) continue;
      Places steps{};
      for (size_t i = 0; i < k; ++i) steps[i] = strides[i][a];
      bool joined = !sizes_.empty();
      for (size_t i = 0; joined && i < k; ++i) joined = steps_.back()[i] == steps[i] * result[a];
      if (joined) {
        sizes_.back() *= result[a];
        steps_.back() = steps;
      } else {
        sizes_.push_back(result[a]);
        steps_.push_back(steps);
      }
    }
    if (sizes_.empty()) sizes_.push_back(1), steps_.push_back({});
  }

  int64_t line() const { return sizes_.back(); }
  const Places& steps() const { return steps_.back(); }  // along a line

  // body(place in the result, places in the operands, count) for pieces of lines.
  template <class Body>
  void run(int threads, int64_t grain, const Body& body) const {
    int64_t total = 1;
    for (const int64_t size : sizes_) total *= size;
    parallel_parts(threads, total, grain, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t at = begin % line(), count = std::min(end - begin, line() - at);
        body(begin, places(begin / line(), at), count);
        begin += count;
      }
    });
  }

 private:
  Places places(int64_t index, int64_t at) const {
    Places p{};
    for (size_t i = 0; i < kMost; ++i) p[i] = at * steps_.back()[i];
    for (size_t a = sizes_.size() - 1; a-- > 0;) {
      for (size_t i = 0; i < kMost; ++i) p[i] += index % sizes_[a] * steps_[a][i];
      index /= sizes_[a];
    }
    return p;
  }

  std::vector<int64_t> sizes_;
  std::vector<Places> steps_;
};

}  // namespace residua
