// Whole inverted-residual blocks, by our kernel.
#include "residua/kernels/fused_block.h"
#include "residua/runtime/elementwise.h"
#include "residua/runtime/parallel.h"

namespace residua {

bool lower(const op::FusedBlock& o, Lowering& l) {
  for (size_t i = 1; i < 7; ++i)
    if (!l.is_constant(l.input(i))) return false;
  const Shape &x_shape = l.shape(l.input(0)), &y_shape = l.shape(l.output());
  if (elements_of(y_shape) == 0) return false;
  const Shape &grouped = l.shape(l.input(o.conv_first ? 1 : 3)),
              &expand = l.shape(l.input(o.conv_first ? 3 : 1));
  const kernels::BlockShape shape{.conv_first = o.conv_first,
                                  .residual = o.residual,
                                  .height = x_shape[2],
                                  .width = x_shape[3],
                                  .channels = x_shape[1],
                                  .kernel_height = grouped[2],
                                  .kernel_width = grouped[3],
                                  .stride = o.stride,
                                  .padding = o.padding,
                                  .groups = o.groups,
                                  .grouped_outputs = grouped[0],
                                  .middle = expand[0],
                                  .outputs = y_shape[1],
                                  .activation = function_call(o.activation)};
  std::vector<float> numbers[6];
  kernels::BlockWeights weights;
  for (size_t i = 0; i < 6; ++i) {
    numbers[i] = l.constant_numbers(l.input(i + 1));
    (i % 2 ? weights.bias : weights.weight)[i / 2] = numbers[i].data();
  }
  const int threads = l.threads();
  const int64_t least_tiles = (threads + x_shape[0] - 1) / x_shape[0];
  const auto block = std::make_shared<const kernels::FusedBlock>(shape, weights, least_tiles);
  const FormId x = l.want(l.input(0), DType::f32, Layout::channels_last);
  const FormId y = l.write(0, DType::f32, Layout::channels_last);
  const int64_t scratch = (block->workspace_bytes() + 63) / 64 * 64;
  const int64_t items = x_shape[0] * block->tiles();
  const int64_t x_image = elements_of(x_shape) / x_shape[0],
                y_image = elements_of(y_shape) / y_shape[0];
  Step& step = l.emit(
      "fused block", {x}, {y},
      [=](const StepCall& c) {
        parallel_parts(threads, threads, 1, [&](int64_t part, int64_t end) {
          for (; part < end; ++part) {
            auto* memory = reinterpret_cast<float*>(c.scratch + part * scratch);
            for (int64_t i = items * part / threads; i < items * (part + 1) / threads; ++i) {
              const int64_t n = i / block->tiles();
              block->run_tile(c.at<const float>(x) + n * x_image, c.at<float>(y) + n * y_image,
                              i % block->tiles(), memory);
            }
          }
        });
      },
      scratch * threads);
  step.info.arithmetic = DType::f32;
  for (size_t i = 0; i < 3; ++i) {
    const bool before_stride = !o.conv_first && i == 0;
    step.info.operations += 2 * elements_of(l.shape(l.input(2 * i + 1))) * x_shape[0] *
                            (before_stride ? spatial_of(x_shape) : spatial_of(y_shape));
  }
  return true;
}

}  // namespace residua
