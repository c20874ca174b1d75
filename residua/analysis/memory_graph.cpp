#include "residua/analysis/memory_graph.h"

#include <cmath>

namespace residua {

namespace {

// What backward reads of a block. Values: r the activated maps, c the convolutions' outputs.
struct BlockValues {
  int64_t x = 0, r1 = 0, c1 = 0, r2 = 0, out = 0;
};

class GraphWriter {
 public:
  explicit GraphWriter(int64_t bytes) : bytes_(bytes) {}

  int64_t value() {
    problem.bytes.push_back(bytes_);
    return static_cast<int64_t>(problem.bytes.size()) - 1;
  }
  int64_t op(std::vector<int64_t> reads, bool in_place) {
    const int64_t v = value();
    problem.operations.push_back({std::move(reads), {v}, in_place});
    return v;
  }
  int64_t norm_relu(int64_t x) { return op({op({x}, true)}, true); }

  BlockValues forward(int64_t x) {
    BlockValues b{.x = x};
    b.r1 = norm_relu(x);
    b.c1 = op({b.r1}, false);
    b.r2 = norm_relu(b.c1);
    b.out = op({op({b.r2}, false), x}, true);
    return b;
  }

  // The gradient of x from that of the block's output.
  int64_t backward(const BlockValues& b, int64_t g) {
    int64_t h = op({g, b.r2}, false);  // of the second convolution
    h = op({h, b.r2}, true);           // ReLU
    h = op({h, b.c1}, true);           // normalisation
    h = op({h, b.r1}, false);
    h = op({h, b.r1}, true);
    h = op({h, b.x}, true);
    return op({g, h}, true);
  }

  BufferProblem problem;

 private:
  int64_t bytes_;
};

}  // namespace

BufferProblem training_graph(int64_t blocks, int64_t bytes, Recomputation recomputation) {
  GraphWriter w(bytes);
  int64_t x = w.value();
  w.problem.given = {x};
  std::vector<BlockValues> all;
  for (int64_t i = 0; i < blocks; ++i) {
    all.push_back(w.forward(x));
    x = all.back().out;
  }
  int64_t g = w.op({x}, true);  // the loss and its gradient
  const int64_t length = recomputation == Recomputation::sqrt
                             ? std::llround(std::ceil(std::sqrt(static_cast<double>(blocks))))
                             : 1;
  for (int64_t end = blocks; end > 0;) {
    const int64_t begin = (end - 1) / length * length;
    for (int64_t i = begin; i < end; ++i) {
      BlockValues& b = all[static_cast<size_t>(i)];
      if (recomputation == Recomputation::sqrt) {
        b = w.forward(i == begin ? b.x : all[static_cast<size_t>(i - 1)].out);
      } else if (recomputation == Recomputation::cheap) {
        b.r1 = w.norm_relu(b.x);
        b.r2 = w.norm_relu(b.c1);
      }
    }
    for (int64_t i = end; i-- > begin;) g = w.backward(all[static_cast<size_t>(i)], g);
    end = begin;
  }
  w.problem.wanted = {g};
  return w.problem;
}

}  // namespace residua
