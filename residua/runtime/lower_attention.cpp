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

// Where a head's rows lie: number (n, head, row) begins at
// offset + n * image + head * of_head + row * row.
struct HeadRows {
  FormId form = kNoForm;
  int64_t offset = 0, image = 0, of_head = 0, row = 0;
};

bool is_swap(const Node& node) {
  const auto* swap = std::get_if<op::Transpose>(&node.operation);
  return swap != nullptr && swap->order == std::vector<int64_t>{0, 2, 1, 3};
}

// What a product gives as rows of all heads is read where it lies: [N, T, all], perhaps a slice of
// it, reshaped to [N, T, heads, d] and transposed to [N, heads, T, d]. Only where nothing can have
// been written over it since.
std::optional<HeadRows> rows_of_product(Lowering& l, ValueId value) {
  const Node* swap = l.writer(value);
  if (swap == nullptr || !is_swap(*swap)) return std::nullopt;
  const Node* reshape = l.writer(swap->inputs[0]);
  if (reshape == nullptr || !std::holds_alternative<op::Reshape>(reshape->operation))
    return std::nullopt;
  const Shape& heads = l.shape(swap->inputs[0]);
  ValueId rows = reshape->inputs[0];
  if (l.shape(rows).size() != 3 || l.shape(rows)[0] != heads[0] || l.shape(rows)[1] != heads[1])
    return std::nullopt;
  int64_t first = 0;
  if (const Node* cut = l.writer(rows); cut && std::holds_alternative<op::Slice>(cut->operation)) {
    const auto& slice = std::get<op::Slice>(cut->operation);
    if ((slice.axis != 2 && slice.axis != -1) || slice.step != 1 || slice.start < 0)
      return std::nullopt;
    first = slice.start;
    rows = cut->inputs[0];
  }
  if (!l.is_only_copied(rows) || l.integer_form(rows)) return std::nullopt;
  const int64_t pitch = l.shape(rows)[2];
  return HeadRows{l.want(rows, l.working(), Layout::plain), first, heads[1] * pitch, heads[3],
                  pitch};
}

HeadRows rows_of_heads(Lowering& l, ValueId value) {
  if (const auto found = rows_of_product(l, value)) return *found;
  const Shape& s = l.shape(value);
  return {l.want(value, l.working(), Layout::plain), 0, s[1] * s[2] * s[3], s[2] * s[3], s[3]};
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
  const HeadRows q = rows_of_heads(l, l.input(0)), k = rows_of_heads(l, l.input(1)),
                 v = rows_of_heads(l, l.input(2));
  // The rows of all heads lie side by side where that is what is made of the result.
  const Node* swap = l.only_reader<op::Transpose>();
  const bool side_by_side = swap != nullptr && is_swap(*swap);
  if (side_by_side) l.include(*swap);
  HeadRows y{l.write(0, dtype, Layout::plain), 0, q_shape[1] * q_shape[2] * q_shape[3]};
  y.of_head = side_by_side ? q_shape[3] : q_shape[2] * q_shape[3];
  y.row = side_by_side ? q_shape[1] * q_shape[3] : q_shape[3];
  const kernels::AttentionHead head{.queries = q_shape[2],
                                    .keys = k_shape[2],
                                    .width = q_shape[3],
                                    .scale = static_cast<float>(o.scale),
                                    .causal = o.causal,
                                    .q_row = q.row,
                                    .k_row = k.row,
                                    .v_row = v.row,
                                    .y_row = y.row};
  const int64_t heads = q_shape[1], key_heads = k_shape[1], share = heads / key_heads;
  const int64_t blocks = (head.queries + head.block_queries() - 1) / head.block_queries();
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
            const auto at = [&](const HeadRows& rows, int64_t of) {
              return rows.offset + n * rows.image + of * rows.of_head;
            };
            kernels::attention_block(
                one, c.at<const T>(q.form) + at(q, h % heads),
                c.at<const T>(k.form) + at(k, key_head), c.at<const T>(v.form) + at(v, key_head),
                c.at<T>(y.form) + at(y, h % heads), i % blocks * head.block_queries(), memory);
          }
        }
      });
    });
  };
  Step& step = l.emit("tiles", {q.form, k.form, v.form, mask}, {y.form}, body, scratch * threads);
  step.info.operations = 4 * q_shape[0] * heads * head.queries * head.keys * head.width;
  return true;
}

}  // namespace residua
