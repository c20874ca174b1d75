// Quantize and dequantize nodes. Neither computes by itself where its neighbours have integer
// kernels: a dequantized value is the same integers, now read as real numbers.
#include "residua/graph/numbers.h"
#include "residua/runtime/convert.h"

namespace residua {

bool lower(const op::Quantize& o, Lowering& l) {
  const auto scale = symmetric_scale(l.graph(), l.node());
  if (!scale || (o.dtype != DType::u8 && o.dtype != DType::i8)) return false;
  if (const auto integers = l.integer_form(l.input(0)))
    if (l.form(*integers).scale == *scale && l.form(*integers).dtype == o.dtype) {
      l.share(0, *integers);
      return true;
    }
  const FormId x = l.want(l.input(0), l.working(), l.preferred_layout(l.input(0)));
  emit_reorder(l, x, l.write(0, o.dtype, l.form(x).layout, *scale));
  return true;
}

bool lower(const op::Dequantize& o, Lowering& l) {
  const ValueId x = l.input(0);
  const Value& integers = l.graph().value(x);
  const DType dtype = integers.type.dtype;
  if (dtype != DType::u8 && dtype != DType::i8) return false;
  const Shape& shape = integers.type.shape;
  if (integers.constant && dtype == DType::i8 && l.is_constant(l.input(1)) && shape.size() > 1) {
    const auto scales = l.constant_numbers(l.input(1));
    const bool by_row = o.axis == 0 && static_cast<int64_t>(scales.size()) == shape[0];
    bool symmetric = true;
    if (l.has(2)) {
      if (!l.is_constant(l.input(2))) return false;
      const Value& zero = l.graph().value(l.input(2));
      for (const double z : read_numbers(zero.type, *zero.constant).data) symmetric &= z == 0;
    }
    if (symmetric && (by_row || scales.size() == 1)) {
      l.remember_quantized(l.output(), {x, scales});
      return true;
    }
  }
  const auto scale = symmetric_scale(l.graph(), l.node());
  if (!scale) return false;
  const FormId form = l.first_form(x);
  if (l.form(form).scale == *scale) {
    l.share(0, form);
    return true;
  }
  l.set_integer(l.view(0, form, l.form(form).layout, 0), dtype, *scale);
  return true;
}

}  // namespace residua
