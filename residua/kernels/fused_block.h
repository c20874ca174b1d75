#pragma once
// A whole inverted-residual block, tile by tile of rows, so that its wide middle never leaves the
// cache ("On the Efficiency of Convolutional Neural Networks", arXiv:2404.03617, section 6):
//
//   ConvFirst:  grouped k x k;  1x1 expand, function;  1x1 project;  (+ x)
//   otherwise:  1x1 expand, function;  grouped k x k, function;  1x1 project;  (+ x)   (MBConv)
//
// The middle is taken in chunks of channels: a tile's chunk is computed, and its product with the
// projection added to the result, before the next one. The workspace depends on the width of the
// image and of x, neither on its height nor on the middle. MBConv computes the rows that two tiles
// share twice. Images lie channels last, [N, H, W, C], in float32.

#include <cstdint>
#include <memory>

#include "residua/kernels/elementwise.h"

namespace residua::kernels {

struct BlockShape {
  bool conv_first = false, residual = false;
  int64_t height = 0, width = 0, channels = 0;  // of x
  int64_t kernel_height = 3, kernel_width = 3, stride = 1, padding = 1, groups = 1;
  int64_t grouped_outputs = 0;  // channels behind the grouped convolution
  int64_t middle = 0;           // channels behind the expansion
  int64_t outputs = 0;
  FunctionCall activation = {};

  int64_t out_height() const { return (height + 2 * padding - kernel_height) / stride + 1; }
  int64_t out_width() const { return (width + 2 * padding - kernel_width) / stride + 1; }
};

// Weights as in PyTorch, [out, in / groups, kh, kw], and biases, in the block's order.
struct BlockWeights {
  const float *weight[3] = {}, *bias[3] = {};
};

// The block with its weights in the order of the kernel.
class FusedBlock {
 public:
  // An image is cut into `least_tiles` or more, where it has so many rows: one for each thread.
  FusedBlock(const BlockShape& shape, const BlockWeights& weights, int64_t least_tiles = 1);
  ~FusedBlock();
  FusedBlock(FusedBlock&&) noexcept;

  const BlockShape& shape() const;
  int64_t tiles() const;            // of one image
  int64_t workspace_bytes() const;  // of one thread
  // One tile of one image; `workspace` is aligned to 64 bytes. x and y may not overlap.
  void run_tile(const float* x, float* y, int64_t tile, float* workspace) const;

  struct Packed;

 private:
  std::unique_ptr<Packed> packed_;
};

}  // namespace residua::kernels
