// Attention, by our kernel: one block of queries of one head at a time.
#include "residua/kernels/attention.h"
#include "residua/runtime/elementwise.h"
#include "residua/runtime/parallel.h"

namespace residua {

namespace {

// The mask's step along each of [N, heads, T, S]; 0 where it repeats.
struct MaskSteps {
  int64_t batch = 0, head = 0, row = 0, column = 0;
};

MaskSteps mask_steps(const Shape& mask) {
  int64_t steps[4] = {}, step = 1;
  for (size_t i = 0; i < mask.size(); ++i) {
    const size_t axis = mask.size() - 1 - i;
    steps[3 - i] = mask[axis] == 1 ? 0 : step;
    step *= mask[axis];
  }
  return {steps[0], steps[1], steps[2], steps[3]};
}

}  // namespace

bool lower(const op::Attention& o, Lowering& l) {
  const Shape q_shape = l.shape(l.input(0)), k_shape = l.shape(l.input(1));
  if (elements_of(q_shape) == 0 || elements_of(k_shape) == 0) return false;
  if (l.shape(l.input(2)) != k_shape) return false;
  MaskSteps steps;
  FormId mask = kNoForm;
  if (l.has(3)) {
    if (!l.is_real(l.input(3)) || l.shape(l.input(3)).size() > 4) return false;
    steps = mask_steps(l.shape(l.input(3)));
    mask = l.want(l.input(3), DType::f32, Layout::plain);
  }
  const DType dtype = l.working();
  const FormId q = l.want(l.input(0), dtype, Layout::plain),
               k = l.want(l.input(1), dtype, Layout::plain),
               v = l.want(l.input(2), dtype, Layout::plain), y = l.write(0, dtype, Layout::plain);
  const kernels::AttentionHead head{.queries = q_shape[2],
                                    .keys = k_shape[2],
                                    .width = q_shape[3],
                                    .scale = static_cast<float>(o.scale),
                                    .causal = o.causal};
  const int64_t heads = q_shape[1], key_heads = k_shape[1], share = heads / key_heads;
  const int64_t blocks =
      (head.queries + kernels::kAttentionQueries - 1) / kernels::kAttentionQueries;
  const int64_t items = q_shape[0] * heads * blocks;
  const int64_t scratch = (kernels::attention_scratch_bytes(head) + 63) / 64 * 64;
  const int threads = l.threads();
  const auto body = [=](const StepCall& c) {
    with_real_type(dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      parallel_parts(threads, threads, 1, [&](int64_t part, int64_t parts) {
        for (; part < parts; ++part) {
          auto* memory = reinterpret_cast<float*>(c.scratch + part * scratch);
          kernels::AttentionHead one = head;
          for (int64_t i = items * part / threads; i < items * (part + 1) / threads; ++i) {
            const int64_t h = i / blocks, n = h / heads, key_head = h % heads / share;
            if (mask != kNoForm) {
              one.mask = c.at<const float>(mask) + n * steps.batch + h % heads * steps.head;
              one.mask_row = steps.row, one.mask_column = steps.column;
            }
            const int64_t key_at = (n * key_heads + key_head) * head.keys * head.width;
            const int64_t at = h * head.queries * head.width;
            kernels::attention_block(one, c.at<const T>(q) + at, c.at<const T>(k) + key_at,
                                     c.at<const T>(v) + key_at, c.at<T>(y) + at,
                                     i % blocks * kernels::kAttentionQueries, memory);
          }
        }
      });
    });
  };
  Step& step = l.emit("tiles", {q, k, v, mask}, {y}, body, scratch * threads);
  step.info.operations = 4 * q_shape[0] * heads * head.queries * head.keys * head.width;
  return true;
}

}  // namespace residua
