// Operators that only move numbers: by views where the bytes stay, else by one strided copy.
#include <algorithm>
#include <cstring>

#include "residua/kernels/strided_copy.h"
#include "residua/runtime/axis_taps.h"
#include "residua/runtime/convert.h"
#include "residua/runtime/elementwise.h"
#include "residua/runtime/parallel.h"

namespace residua {

namespace {

using kernels::StridedCopy;

std::vector<int64_t> row_major(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

// The form that a row-major view of the value starts from: integers that stand for reals stay.
FormId plain_source(Lowering& l, ValueId value) {
  if (l.is_real(value) && l.integer_form(value)) return l.want_integer(value, Layout::plain);
  if (l.is_real(value)) return l.want(value, l.working(), Layout::plain);
  return l.want_plain(value);
}

void emit_copy(Lowering& l, const StridedCopy& given, FormId x, FormId y, int64_t x_offset = 0,
               int64_t y_offset = 0) {
  StridedCopy copy = kernels::simplified(given);
  const int threads = l.threads();
  const int64_t size = copy.element_bytes;
  l.emit(kStridedCopy, {x}, {y}, [=](const StepCall& c) {
    const std::byte* from = c.address[x] + x_offset * size;
    std::byte* to = c.address[y] + y_offset * size;
    if (copy.axes == 0) return kernels::copy_strided(copy, from, to, 0, 1);
    int64_t rest = 1;
    for (size_t i = 1; i < static_cast<size_t>(copy.axes); ++i) rest *= copy.sizes[i];
    parallel_parts(
        threads, copy.sizes[0], std::max<int64_t>(1, 16384 / rest),
        [&](int64_t begin, int64_t end) { kernels::copy_strided(copy, from, to, begin, end); });
  });
}

bool is_empty(const Shape& shape) { return elements_of(shape) == 0; }

int64_t positive(int64_t axis, const Shape& shape) {
  return axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis;
}

int64_t product(const Shape& shape, size_t begin, size_t end) {
  int64_t count = 1;
  for (size_t i = begin; i < end; ++i) count *= shape[i];
  return count;
}

FormId write_like(Lowering& l, FormId x, Layout layout) {
  return l.write(0, l.form(x).dtype, layout, l.form(x).scale);
}

}  // namespace

bool lower(const op::Reshape&, Lowering& l) {
  l.view(0, plain_source(l, l.input(0)), Layout::plain, 0);
  return true;
}

bool lower(const op::Transpose& o, Lowering& l) {
  const Shape shape = l.shape(l.input(0));
  if (shape.size() > StridedCopy::kMaxAxes || is_empty(shape)) return false;
  const FormId x = plain_source(l, l.input(0));
  const auto strides = row_major(shape), to = row_major(l.shape(l.output()));
  StridedCopy copy{.element_bytes = element_size(l.form(x).dtype)};
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto axis = static_cast<size_t>(positive(o.order[i], shape));
    copy.add_axis(shape[axis], strides[axis], to[i]);
  }
  const StridedCopy simple = kernels::simplified(copy);
  if (simple.axes == 0 || (simple.axes == 1 && simple.from[0] == 1)) {
    l.view(0, x, Layout::plain, 0);  // only axes of size 1 move
    return true;
  }
  emit_copy(l, copy, x, write_like(l, x, Layout::plain));
  return true;
}

bool lower(const op::Expand&, Lowering& l) {
  const Shape shape = l.shape(l.input(0)), out = l.shape(l.output());
  if (out.size() > StridedCopy::kMaxAxes || is_empty(out)) return false;
  const FormId x = plain_source(l, l.input(0));
  const auto strides = row_major(shape), to = row_major(out);
  StridedCopy copy{.element_bytes = element_size(l.form(x).dtype)};
  const size_t added = out.size() - shape.size();
  for (size_t i = 0; i < out.size(); ++i) {
    const bool repeated = i < added || shape[i - added] == 1;
    copy.add_axis(out[i], repeated ? 0 : strides[i - added], to[i]);
  }
  emit_copy(l, copy, x, write_like(l, x, Layout::plain));
  return true;
}

bool lower(const op::Slice& o, Lowering& l) {
  const Shape shape = l.shape(l.input(0)), out = l.shape(l.output());
  if (is_empty(out)) return false;
  const auto axis = static_cast<size_t>(positive(o.axis, shape));
  const int64_t size = shape[axis];
  const int64_t start = std::clamp<int64_t>(o.start < 0 ? o.start + size : o.start, 0, size);
  const bool real = l.is_real(l.input(0));
  // Whole blocks of the channels of one image lie behind each other.
  if (real && axis == 1 && o.step == 1 && shape[0] == 1 && shape.size() > 2) {
    const FormId x = l.integer_form(l.input(0))
                         .value_or(l.want(l.input(0), l.working(), l.preferred_layout(l.input(0))));
    const Layout layout = l.form(x).layout;
    const int64_t block = block_of(layout, shape);
    if (layout != Layout::channels_last && start % block == 0 && out[1] % block == 0) {
      l.view(0, x, layout, start * spatial_of(shape) * element_size(l.form(x).dtype));
      return true;
    }
  }
  const FormId x = plain_source(l, l.input(0));
  const auto strides = row_major(shape);
  if (o.step == 1 && product(shape, 0, axis) == 1) {
    l.view(0, x, Layout::plain, start * strides[axis] * element_size(l.form(x).dtype));
    return true;
  }
  const int64_t inner = product(shape, axis + 1, shape.size());
  StridedCopy copy{.element_bytes = element_size(l.form(x).dtype)};
  copy.add_axis(product(shape, 0, axis), size * inner, out[axis] * inner);
  copy.add_axis(out[axis], o.step * inner, inner);
  copy.add_axis(inner, 1, 1);
  emit_copy(l, copy, x, write_like(l, x, Layout::plain), start * inner);
  return true;
}

bool lower(const op::Concat& o, Lowering& l) {
  const Shape out = l.shape(l.output());
  const auto axis = static_cast<size_t>(positive(o.axis, out));
  const size_t count = l.node().inputs.size();
  const bool real = l.is_real(l.output());
  // All integers of one scale, or real numbers.
  float scale = 0;
  DType dtype = real ? l.working() : l.graph().value(l.output()).type.dtype;
  if (real) {
    const auto first = l.integer_form(l.input(0));
    bool equal = first.has_value();
    for (size_t i = 1; equal && i < count; ++i) {
      const auto other = l.integer_form(l.input(i));
      equal = other && l.form(*other).scale == l.form(*first).scale &&
              l.form(*other).dtype == l.form(*first).dtype;
    }
    if (equal) dtype = l.form(*first).dtype, scale = l.form(*first).scale;
  }
  Layout layout = Layout::plain;
  if (real && out.size() > 2 && axis == 1) {
    layout =
        scale != 0 ? l.form(*l.integer_form(l.input(0))).layout : l.preferred_layout(l.input(0));
    if (layout != Layout::channels_last)
      for (size_t i = 0; i < count; ++i)
        if (l.shape(l.input(i))[1] % block_of(layout, out) != 0) layout = Layout::plain;
  }
  auto step = std::make_unique<ConcatStep>();
  const bool last = layout == Layout::channels_last;
  step->rows = last ? out[0] * spatial_of(out) : product(out, 0, axis);
  const int64_t size = element_size(dtype);
  const int64_t inner = last ? 1 : product(out, axis + 1, out.size());
  std::vector<FormId> reads;
  int64_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    const FormId part = scale != 0 ? l.want_integer(l.input(i), layout)
                        : real     ? l.want(l.input(i), dtype, layout)
                                   : l.want_plain(l.input(i));
    const int64_t bytes = l.shape(l.input(i))[axis] * inner * size;
    step->parts.push_back({part, at, bytes});
    reads.push_back(part);
    at += bytes;
  }
  step->row_bytes = at;
  const FormId y = l.write(0, dtype, layout, scale);
  if (step->rows == 1) l.mark_shared(y);  // it may come to lie inside a longer one
  l.emit(std::move(step), "concat", "copy of what is elsewhere", reads, {y});
  return true;
}

void ConcatStep::run(const StepCall& call) const {
  std::byte* to = call.address[writes.front()];
  for (const Part& part : parts) {
    const std::byte* from = call.address[part.form];
    if (rows == 1 && from == to + part.offset) continue;
    const int64_t grain = std::max<int64_t>(1, (64 << 10) / std::max<int64_t>(part.bytes, 1));
    parallel_parts(call.threads, rows, grain, [&](int64_t r, int64_t end) {
      for (; r < end; ++r)
        std::memcpy(to + r * row_bytes + part.offset, from + r * part.bytes,
                    static_cast<size_t>(part.bytes));
    });
  }
}

bool lower(const op::Pad& o, Lowering& l) {
  if (o.mode != PadMode::constant) return lower_pad_by_taps(o, l);
  const Shape shape = l.shape(l.input(0)), out = l.shape(l.output());
  if (is_empty(shape) || shape.size() > StridedCopy::kMaxAxes) return false;
  const DType dtype = l.is_real(l.input(0)) ? l.working() : l.graph().value(l.input(0)).type.dtype;
  const FormId x = l.want(l.input(0), dtype, Layout::plain);
  const FormId y = l.write(0, dtype, Layout::plain);
  const auto from = row_major(shape), to = row_major(out);
  StridedCopy copy{.element_bytes = element_size(dtype)};
  int64_t x_offset = 0, y_offset = 0;
  for (size_t i = 0; i < shape.size(); ++i) {  // negative padding cuts
    const int64_t before = o.padding[i], after = o.padding[i + shape.size()];
    const int64_t cut = std::max<int64_t>(0, -before);
    const int64_t size = shape[i] - cut - std::max<int64_t>(0, -after);
    if (size <= 0) return false;
    x_offset += cut * from[i];
    y_offset += std::max<int64_t>(0, before) * to[i];
    copy.add_axis(size, from[i], to[i]);
  }
  const auto value = aligned_bytes(8);
  const float number = static_cast<float>(o.value);
  convert({.shape = {1}}, &number, {.dtype = dtype, .shape = {1}}, value.get(), 1);
  const int64_t size = copy.element_bytes, count = elements_of(out);
  const StridedCopy simple = kernels::simplified(copy);
  l.emit(kStridedCopy, {x}, {y}, [=](const StepCall& c) {
    StridedCopy fill{.element_bytes = size};
    fill.add_axis(count, 0, 1);
    kernels::copy_strided(fill, value.get(), c.address[y], 0, count);
    kernels::copy_strided(simple, c.address[x] + x_offset * size, c.address[y] + y_offset * size, 0,
                          simple.axes == 0 ? 1 : simple.sizes[0]);
  });
  return true;
}

bool lower(const op::Gather& o, Lowering& l) {
  const Shape shape = l.shape(l.input(0));
  const DType index_type = l.graph().value(l.input(1)).type.dtype;
  if (index_type != DType::i64 && index_type != DType::i32) return false;
  if (is_empty(l.shape(l.output()))) return false;
  const auto axis = static_cast<size_t>(positive(o.axis, shape));
  const FormId x = plain_source(l, l.input(0)), at = l.want_plain(l.input(1));
  const FormId y = write_like(l, x, Layout::plain);
  const int64_t outer = product(shape, 0, axis), size = shape[axis];
  const int64_t count = elements_of(l.shape(l.input(1)));
  const int64_t bytes = product(shape, axis + 1, shape.size()) * element_size(l.form(x).dtype);
  const std::string where = l.node().name;
  l.emit("rows", {x, at}, {y}, [=](const StepCall& c) {
    for (int64_t i = 0; i < count; ++i) {
      int64_t index =
          index_type == DType::i64 ? c.at<const int64_t>(at)[i] : c.at<const int32_t>(at)[i];
      if (index < 0) index += size;
      check_index(index, size, where);
      for (int64_t r = 0; r < outer; ++r)
        std::memcpy(c.address[y] + (r * count + i) * bytes,
                    c.address[x] + (r * size + index) * bytes, static_cast<size_t>(bytes));
    }
  });
  return true;
}

bool lower(const op::PixelShuffle& o, Lowering& l) {
  const Shape shape = l.shape(l.input(0)), out = l.shape(l.output());
  if (is_empty(out) || shape.size() != 4) return false;
  const FormId x = plain_source(l, l.input(0));
  const int64_t r = o.factor, height = shape[2], width = shape[3];
  StridedCopy copy{.element_bytes = element_size(l.form(x).dtype)};
  copy.add_axis(out[0] * out[1], r * r * height * width, r * r * height * width);
  copy.add_axis(height, width, r * width * r);
  copy.add_axis(r, r * height * width, width * r);
  copy.add_axis(width, 1, r);
  copy.add_axis(r, height * width, 1);
  emit_copy(l, copy, x, write_like(l, x, Layout::plain));
  return true;
}

namespace {

// Whether numbers of the first type are numbers of the second.
bool may_keep(DType from, DType to) {
  return from == to || to == DType::f64 ||
         (to == DType::f32 && (from == DType::bf16 || from == DType::f16));
}

}  // namespace

bool lower(const op::Cast& o, Lowering& l) {
  const DType to = l.graph().value(l.output()).type.dtype;
  if (l.is_real(l.input(0)) && l.is_real(l.output())) {  // both are kept in the working type
    if (l.is_constant(l.input(0)) && may_keep(l.graph().value(l.input(0)).type.dtype, to)) {
      l.share(0, l.first_form(l.input(0)));  // converted when a kernel asks for another type
      return true;
    }
    l.share(0, l.want(l.input(0), l.working(), l.preferred_layout(l.input(0))));
    return true;
  }
  if (l.is_real(l.input(0)) || to == DType::boolean) return lower_cast_to_whole(o, l);
  const FormId x = l.want_plain(l.input(0));
  const FormId y = l.write(0, l.is_real(l.output()) ? DType::f32 : to, Layout::plain);
  const Form from = l.form(x), form_y = l.form(y);
  const int threads = l.threads();
  l.emit("elements", {x}, {y},
         [=](const StepCall& c) { convert(from, c.address[x], form_y, c.address[y], threads); });
  return true;
}

}  // namespace residua
