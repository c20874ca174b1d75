// Functions of single numbers and of pairs.
#include <algorithm>
#include <cstring>

#include "residua/runtime/elementwise.h"
#include "residua/runtime/parallel.h"

namespace residua {

namespace {

using kernels::FunctionCall;

constexpr int64_t kElementGrain = 8192;

static_assert(static_cast<int>(UnaryKind::logical_not) ==
                  static_cast<int>(kernels::Function::logical_not) &&
              static_cast<int>(UnaryKind::silu) == static_cast<int>(kernels::Function::silu));

std::optional<kernels::Pair> pair_of(BinaryKind kind) {
  switch (kind) {
    case BinaryKind::add: return kernels::Pair::add;
    case BinaryKind::subtract: return kernels::Pair::subtract;
    case BinaryKind::multiply: return kernels::Pair::multiply;
    case BinaryKind::divide: return kernels::Pair::divide;
    case BinaryKind::minimum: return kernels::Pair::minimum;
    case BinaryKind::maximum: return kernels::Pair::maximum;
    default: return std::nullopt;
  }
}

void emit_function(Lowering& l, const FunctionCall& call, FormId x, FormId y) {
  const Form form = l.form(y);
  const int64_t count = form_bytes(form) / element_size(form.dtype);
  const int threads = l.threads();
  l.emit(x == y ? "function, in place" : "function", {x}, {y}, [=](const StepCall& c) {
    with_real_type(form.dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      parallel_parts(threads, count, kElementGrain, [&](int64_t begin, int64_t end) {
        kernels::apply_function(call, c.at<const T>(x) + begin, c.at<T>(y) + begin, end - begin);
      });
    });
    clear_padding(form, c.address[y]);
  });
}

// How one operand repeats against the other: `outer` times, each number for `inner` places of which
// `period` differ.
struct Repeat {
  int64_t period = 1;                   // numbers of b that lie behind each other
  int64_t run = 1;                      // numbers of a for which the period repeats
  std::vector<int64_t> sizes, strides;  // outer axes and b's steps along them
};

// Sizes as they lie in memory: blocked images as [N, C / block, spatial, block].
Shape memory_shape(const Form& f) {
  if (f.layout == Layout::plain) return f.shape;
  const int64_t block = block_of(f.layout, f.shape);
  return {f.shape[0], (f.shape[1] + block - 1) / block, spatial_of(f.shape), block};
}

// b of the same rank with sizes equal to a's or 1.
Repeat repeat_of(const Shape& a, const Shape& b) {
  Repeat r;
  size_t axis = a.size();
  while (axis > 0 && a[axis - 1] == b[axis - 1]) r.period *= a[--axis];
  r.run = r.period;
  while (axis > 0 && b[axis - 1] == 1) r.run *= a[--axis];
  std::vector<int64_t> strides(a.size(), 0);
  int64_t step = 1;
  for (size_t i = a.size(); i-- > 0;) {
    strides[i] = b[i] == 1 ? 0 : step;
    step *= b[i];
  }
  r.sizes.assign(a.begin(), a.begin() + static_cast<ptrdiff_t>(axis));
  r.strides.assign(strides.begin(), strides.begin() + static_cast<ptrdiff_t>(axis));
  return r;
}

int64_t place_of(const Repeat& r, int64_t run) {
  int64_t place = 0;
  for (size_t i = r.sizes.size(); i-- > 0;) {
    place += run % r.sizes[i] * r.strides[i];
    run /= r.sizes[i];
  }
  return place;
}

Shape padded_rank(const Shape& shape, size_t rank) {
  Shape s(rank - shape.size(), 1);
  s.insert(s.end(), shape.begin(), shape.end());
  return s;
}

}  // namespace

FunctionCall function_call(const op::Activation& a) {
  return {static_cast<kernels::Function>(a.kind), static_cast<float>(a.alpha),
          static_cast<float>(a.beta)};
}

void clear_padding(const Form& f, std::byte* data) {
  if (!is_padded(f)) return;
  const int64_t size = element_size(f.dtype), block = block_of(f.layout, f.shape);
  const int64_t blocks = (f.shape[1] + block - 1) / block, spatial = spatial_of(f.shape);
  const int64_t used = f.shape[1] % block;
  for (int64_t n = 0; n < f.shape[0]; ++n)
    for (int64_t s = 0; s < spatial; ++s)
      std::memset(data + (((n * blocks + blocks - 1) * spatial + s) * block + used) * size, 0,
                  static_cast<size_t>((block - used) * size));
}

void emit_function_over(Lowering& l, const op::Activation& activation, FormId form) {
  emit_function(l, function_call(activation), form, form);
}

bool lower(const op::Unary& o, Lowering& l) {
  if (!l.is_real(l.input(0)) || o.function.kind == UnaryKind::logical_not)
    return lower_function_of_integers(o, l);
  const FormId x = l.want(l.input(0), l.working(), l.preferred_layout(l.input(0)));
  const Layout layout = l.form(x).layout;
  const FormId y = l.may_overwrite(x) ? l.write_over(0, x) : l.write(0, l.working(), layout);
  emit_function(l, function_call(o.function), x, y);
  return true;
}

bool lower(const op::Binary& o, Lowering& l) {
  const auto pair = pair_of(o.kind);
  if (!pair || !l.is_real(l.output())) return lower_pair_by_lines(o, l);
  ValueId a = l.input(0), b = l.input(1);
  const Shape out = l.shape(l.output());
  bool swapped = false;
  if (l.shape(a) != out) std::swap(a, b), swapped = true;
  if (l.shape(a) != out || elements_of(out) == 0) return lower_pair_by_lines(o, l);  // both repeat
  Layout layout = l.preferred_layout(a);
  const Shape small = padded_rank(l.shape(b), out.size());
  if (layout == Layout::plain && l.shape(b) == out) layout = l.preferred_layout(b);
  // A blocked order serves operands with as many channels, or with one number.
  const bool equal = l.shape(b) == out;
  const bool of_channels = l.shape(b).size() == out.size() && out.size() > 2 &&
                           small[1] == out[1] && spatial_of(small) == 1;
  const bool single = elements_of(small) == 1;
  if (layout != Layout::plain && !equal && !single && !of_channels) layout = Layout::plain;
  const FormId x = l.want(a, l.working(), layout);
  // A row-major image of one place for each channel lies as a blocked one does, but for the
  // filling.
  const FormId z = l.want(b, l.working(), single ? Layout::plain : layout);
  const Form form_x{.dtype = l.working(), .shape = out, .layout = layout};
  const Form form_z{.dtype = l.working(),
                    .shape = single ? Shape(out.size(), 1) : small,
                    .layout = single ? Layout::plain : layout};
  const Shape sizes = memory_shape(form_x);
  const Shape of_z = single ? Shape(sizes.size(), 1) : memory_shape(form_z);
  const Repeat r = repeat_of(sizes, of_z);
  const FormId y = l.may_overwrite(x) && l.form(x).layout == layout
                       ? l.write_over(0, x)
                       : l.write(0, l.working(), layout);
  const FunctionCall after = function_call(o.activation);
  const int64_t count = elements_of(sizes), runs = count / r.run;
  const int threads = l.threads();
  l.emit(equal ? "pair" : "pair, repeated", {x, z}, {y}, [=](const StepCall& c) {
    with_real_type(form_x.dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const T *from = c.at<const T>(x), *with = c.at<const T>(z);
      T* to = c.at<T>(y);
      if (runs == 1 && r.run == r.period) {  // cut anywhere
        parallel_parts(threads, count, kElementGrain, [&](int64_t begin, int64_t end) {
          kernels::combine(*pair, swapped, after, from + begin, with + begin, to + begin,
                           end - begin, end - begin);
        });
        return;
      }
      const int64_t periods = r.run / r.period;
      const int64_t grain = std::max<int64_t>(1, kElementGrain / r.period);
      parallel_parts(threads, runs * periods, grain, [&](int64_t begin, int64_t end) {
        while (begin < end) {
          const int64_t run = begin / periods, stop = std::min(end, (run + 1) * periods);
          const int64_t at = begin * r.period, n = (stop - begin) * r.period;
          kernels::combine(*pair, swapped, after, from + at, with + place_of(r, run), to + at, n,
                           r.period);
          begin = stop;
        }
      });
    });
    clear_padding(form_x, c.address[y]);
  });
  return true;
}

}  // namespace residua
