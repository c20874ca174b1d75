#include "residua/runtime/form.h"

namespace residua {

int64_t block_of(Layout layout, const Shape& shape) {
  switch (layout) {
    case Layout::plain: return 1;
    case Layout::channels_last: return shape[1];
    case Layout::blocked4: return 4;
    case Layout::blocked8: return 8;
    case Layout::blocked16: return 16;
  }
  return 1;
}

int64_t elements_of(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

int64_t spatial_of(const Shape& shape) {
  int64_t count = 1;
  for (size_t i = 2; i < shape.size(); ++i) count *= shape[i];
  return count;
}

int64_t form_bytes(const Form& form) {
  int64_t count = elements_of(form.shape);
  if (is_padded(form)) {
    const int64_t block = block_of(form.layout, form.shape);
    count = count / form.shape[1] * ((form.shape[1] + block - 1) / block * block);
  }
  return count * element_size(form.dtype);
}

bool is_padded(const Form& form) {
  return form.layout != Layout::plain && form.shape[1] % block_of(form.layout, form.shape) != 0;
}

bool same_order(const Shape& shape, Layout a, Layout b) {
  if (a == b) return true;
  const auto trivial = [&](Layout layout) {  // is it row-major?
    const int64_t block = block_of(layout, shape);
    return block == 1 || (spatial_of(shape) == 1 && shape[1] % block == 0);
  };
  if (trivial(a) && trivial(b)) return true;
  return block_of(a, shape) == block_of(b, shape);
}

}  // namespace residua
