#include "residua/runtime/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "residua/graph/numbers.h"
#include "residua/runtime/onednn.h"
#include "residua/runtime/parallel.h"

namespace residua {

namespace {

bool is_integer_type(DType dtype) {
  switch (dtype) {
    case DType::f16:
    case DType::bf16:
    case DType::f32:
    case DType::f64: return false;
    default: return true;
  }
}

// Elements one by one, for the pairs that no faster way knows.
struct Reader {
  DType dtype;
  const std::byte* data;

  template <class T>
  T raw(int64_t i) const {
    T value;
    std::memcpy(&value, data + i * static_cast<int64_t>(sizeof(T)), sizeof value);
    return value;
  }
  int64_t integer(int64_t i) const {
    switch (dtype) {
      case DType::i64: return raw<int64_t>(i);
      case DType::u64: return static_cast<int64_t>(raw<uint64_t>(i));
      default: return static_cast<int64_t>(real(i));
    }
  }
  double real(int64_t i) const {
    switch (dtype) {
      case DType::f32: return raw<float>(i);
      case DType::f64: return raw<double>(i);
      case DType::boolean: return raw<uint8_t>(i) != 0;
      case DType::u8: return raw<uint8_t>(i);
      case DType::i8: return raw<int8_t>(i);
      case DType::i16: return raw<int16_t>(i);
      case DType::u16: return raw<uint16_t>(i);
      case DType::i32: return raw<int32_t>(i);
      case DType::u32: return raw<uint32_t>(i);
      case DType::i64: return static_cast<double>(raw<int64_t>(i));
      case DType::u64: return static_cast<double>(raw<uint64_t>(i));
      case DType::bf16: {
        const uint32_t bits = static_cast<uint32_t>(raw<uint16_t>(i)) << 16;
        float value;
        std::memcpy(&value, &bits, sizeof value);
        return value;
      }
      case DType::f16: return half(raw<uint16_t>(i));
      default: return 0;
    }
  }
  static double half(uint16_t h) {
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    const double sign = h >> 15 ? -1 : 1;
    if (exponent == 31) return mantissa ? std::nan("") : sign * INFINITY;
    if (exponent == 0) return sign * std::ldexp(mantissa, -24);
    return sign * std::ldexp(1024 + mantissa, exponent - 25);
  }
};

template <class T>
void store(std::byte* data, int64_t i, T value) {
  std::memcpy(data + i * static_cast<int64_t>(sizeof value), &value, sizeof value);
}

template <class T>
void store_integer(std::byte* data, int64_t i, double value) {
  const double lowest = static_cast<double>(std::numeric_limits<T>::min());
  const double highest = static_cast<double>(std::numeric_limits<T>::max());
  if (!(value > lowest))
    return store(data, i, std::isnan(value) ? T{0} : std::numeric_limits<T>::min());
  store(data, i, value >= highest ? std::numeric_limits<T>::max() : static_cast<T>(value));
}

uint16_t to_bf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (std::isnan(value)) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t to_half(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double size = std::abs(value);
  if (std::isnan(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  if (size < std::ldexp(1, -14))
    return static_cast<uint16_t>(sign | static_cast<int>(std::nearbyint(std::ldexp(size, 24))));
  int exponent = 0;
  std::frexp(size, &exponent);  // size in [2^(e-1), 2^e)
  const int mantissa = static_cast<int>(std::nearbyint(std::ldexp(size, 11 - exponent)));
  return static_cast<uint16_t>(sign | (((exponent + 14) << 10) + mantissa - 1024));
}

void write_real(DType dtype, std::byte* data, int64_t i, double value) {
  switch (dtype) {
    case DType::f32: return store(data, i, static_cast<float>(value));
    case DType::f64: return store(data, i, value);
    case DType::bf16: return store(data, i, to_bf16(static_cast<float>(value)));
    case DType::f16: return store(data, i, to_half(value));
    case DType::boolean: return store(data, i, static_cast<uint8_t>(value != 0));
    case DType::u8: return store_integer<uint8_t>(data, i, value);
    case DType::i8: return store_integer<int8_t>(data, i, value);
    case DType::i16: return store_integer<int16_t>(data, i, value);
    case DType::u16: return store_integer<uint16_t>(data, i, value);
    case DType::i32: return store_integer<int32_t>(data, i, value);
    case DType::u32: return store_integer<uint32_t>(data, i, value);
    case DType::i64: return store_integer<int64_t>(data, i, value);
    case DType::u64: return store_integer<uint64_t>(data, i, value);
    default: return;
  }
}

// The place of channel c at place s of image n.
struct Order {
  int64_t channels, spatial, block, blocks;
  explicit Order(const Form& f) {
    const bool image = f.layout != Layout::plain;
    channels = image ? f.shape[1] : 1;
    spatial = image ? spatial_of(f.shape) : 1;
    block = image ? block_of(f.layout, f.shape) : 1;
    blocks = (channels + block - 1) / block;
  }
  int64_t at(int64_t n, int64_t c, int64_t s) const {
    return ((n * blocks + c / block) * spatial + s) * block + c % block;
  }
};

void move_element(const Form& from, const Reader& reader, int64_t i, const Form& to,
                  std::byte* target, int64_t j) {
  if (is_integer_type(from.dtype) && is_integer_type(to.dtype) && from.scale == to.scale &&
      element_size(to.dtype) == 8) {
    store(target, j, reader.integer(i));
    return;
  }
  double value = reader.real(i);
  if (from.scale != 0) value *= from.scale;
  if (to.scale != 0) value = std::nearbyint(value / to.scale);
  write_real(to.dtype, target, j, value);
}

// A step of oneDNN, unless it does not know the types or orders.
bool emit_onednn_reorder(Lowering& l, FormId from, FormId to) {
  const Form &a = l.form(from), &b = l.form(to);
  if (!onednn_type(a.dtype) || !onednn_type(b.dtype)) return false;
  if ((a.dtype == DType::i32) != (b.dtype == DType::i32)) return false;
  const bool plain = a.layout == Layout::plain && b.layout == Layout::plain;
  const Shape shape = plain ? Shape{elements_of(a.shape)} : a.shape;
  const auto from_desc = onednn_desc(a.dtype, shape, a.layout),
             to_desc = onednn_desc(b.dtype, shape, b.layout);
  auto attributes = onednn_attributes();
  const float scale = (a.scale != 0 ? a.scale : 1) / (b.scale != 0 ? b.scale : 1);
  if (scale != 1) attributes.set_output_scales(0, {scale});
  const dnnl::reorder::primitive_desc pd(onednn_engine(), from_desc, onednn_engine(), to_desc,
                                         attributes, true);
  if (!pd) return false;
  l.emit(
      onednn_step(dnnl::reorder(pd), {{DNNL_ARG_FROM, from_desc, from}, {DNNL_ARG_TO, to_desc, to}},
                  pd.scratchpad_desc()),
      "reorder", pd.impl_info_str(), {from}, {to});
  return true;
}

}  // namespace

void convert(const Form& from, const void* source, const Form& to, void* target, int threads) {
  const Reader reader{from.dtype, static_cast<const std::byte*>(source)};
  auto* bytes = static_cast<std::byte*>(target);
  if (is_padded(to)) std::memset(target, 0, static_cast<size_t>(form_bytes(to)));
  if (from.layout == Layout::plain && to.layout == Layout::plain) {
    parallel_parts(threads, elements_of(from.shape), 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) move_element(from, reader, i, to, bytes, i);
    });
    return;
  }
  const Shape& shape = from.shape;
  Form image_from = from, image_to = to;  // plain as [N, C, spatial] with block 1
  const int64_t channels = shape[1], spatial = spatial_of(shape);
  const auto order = [&](const Form& f) {
    Order o(f);
    if (f.layout == Layout::plain) o.channels = o.blocks = channels, o.spatial = spatial;
    return o;
  };
  const Order a = order(image_from), b = order(image_to);
  parallel_parts(threads, shape[0] * channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t s = 0; s < spatial; ++s)
        move_element(from, reader, a.at(i / channels, i % channels, s), to, bytes,
                     b.at(i / channels, i % channels, s));
  });
}

void emit_reorder(Lowering& l, FormId from, FormId to) {
  if (with_onednn_errors(l, [&] { return emit_onednn_reorder(l, from, to); })) return;
  const Form a = l.form(from), b = l.form(to);
  const int threads = l.threads();
  l.emit(std::make_unique<KernelStep>([=](const StepCall& call) {
           convert(a, call.address[from], b, call.address[to], threads);
         }),
         "reorder", "elements", {from}, {to});
}

std::optional<float> symmetric_scale(const Graph& graph, const Node& node) {
  const auto constant = [&](size_t i) -> const Value* {
    if (i >= node.inputs.size() || node.inputs[i] == kNoValue) return nullptr;
    return &graph.value(node.inputs[i]);
  };
  const Value* scale = constant(1);
  if (scale == nullptr || !scale->constant || elements_of(scale->type.shape) != 1)
    return std::nullopt;
  if (const Value* zero = constant(2)) {
    if (!zero->constant) return std::nullopt;
    for (const double z : read_numbers(zero->type, *zero->constant).data)
      if (z != 0) return std::nullopt;
  }
  const auto value = static_cast<float>(read_numbers(scale->type, *scale->constant).data[0]);
  return value > 0 ? std::optional(value) : std::nullopt;
}

}  // namespace residua
