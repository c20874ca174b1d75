#include "residua/graph/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "residua/core/error.h"

namespace residua {

namespace {

// A binary floating format: bits of the fraction, exponent of the smallest normal number.
struct Format {
  int fraction, least;
  double largest;
};
constexpr Format kF16{10, -14, 65504.0};
constexpr Format kBf16{7, -126, 0x1.FEp127};

double to_format(double value, const Format& format) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double step = std::ldexp(1.0, std::max(std::ilogb(value), format.least) - format.fraction);
  const double rounded = std::nearbyint(value / step) * step;
  return std::abs(rounded) > format.largest
             ? std::copysign(std::numeric_limits<double>::infinity(), value)
             : rounded;
}

template <class Integer>
double to_integer(double value) {
  if (std::isnan(value)) return 0;
  constexpr auto low = static_cast<double>(std::numeric_limits<Integer>::min());
  constexpr auto high = static_cast<double>(std::numeric_limits<Integer>::max());
  return std::clamp(std::trunc(value), low, high);
}

double decode_f16(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double size = exponent == 0   ? std::ldexp(fraction, -24)
                      : exponent < 31 ? std::ldexp(1024 + fraction, exponent - 25)
                      : fraction == 0 ? std::numeric_limits<double>::infinity()
                                      : std::numeric_limits<double>::quiet_NaN();
  return (bits & 0x8000) != 0 ? -size : size;
}

uint16_t encode_f16(double value) {  // of a number that f16 has
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double size = std::abs(value);
  if (std::isnan(size)) return sign | 0x7E00;
  if (std::isinf(size)) return sign | 0x7C00;
  if (size < 0x1p-14) return sign | static_cast<uint16_t>(size * 0x1p24);
  const int exponent = std::ilogb(size);
  const auto fraction = static_cast<uint16_t>((std::ldexp(size, -exponent) - 1) * 1024);
  return static_cast<uint16_t>(sign | (exponent + 15) << 10 | fraction);
}

uint16_t encode_bf16(double value) {  // of a number that bf16 has
  if (std::isnan(value)) return std::signbit(value) ? 0xFFC0 : 0x7FC0;
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(value)) >> 16);
}

// The largest 64-bit integers as doubles lie beyond the type, where a conversion is undefined.
template <class Number>
Number narrow(double value) {
  if constexpr (std::is_integral_v<Number>)
    if (value >= static_cast<double>(std::numeric_limits<Number>::max()))
      return std::numeric_limits<Number>::max();
  return static_cast<Number>(value);
}

template <class Number>
struct Plain {
  static double decode(Number value) { return static_cast<double>(value); }
  static Number encode(double value) { return narrow<Number>(value); }
};
struct Truth {
  static double decode(uint8_t value) { return value != 0 ? 1 : 0; }
  static uint8_t encode(double value) { return value != 0 ? 1 : 0; }
};
struct Half {
  static double decode(uint16_t bits) { return decode_f16(bits); }
  static uint16_t encode(double value) { return encode_f16(value); }
};
struct Brain {
  static double decode(uint16_t bits) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
  static uint16_t encode(double value) { return encode_bf16(value); }
};

[[noreturn]] void refuse_element_type(DType dtype) {
  throw Error(ErrorKind::unsupported, {.where = std::string(to_string(dtype)),
                                       .rule = "is no element type of real numbers"});
}

// Calls visit(codec, example of the stored number).
template <class Visit>
auto with_codec(DType dtype, Visit visit) {
  switch (dtype) {
    case DType::boolean: return visit(Truth(), uint8_t());
    case DType::u8: return visit(Plain<uint8_t>(), uint8_t());
    case DType::i8: return visit(Plain<int8_t>(), int8_t());
    case DType::i16: return visit(Plain<int16_t>(), int16_t());
    case DType::u16: return visit(Plain<uint16_t>(), uint16_t());
    case DType::i32: return visit(Plain<int32_t>(), int32_t());
    case DType::u32: return visit(Plain<uint32_t>(), uint32_t());
    case DType::i64: return visit(Plain<int64_t>(), int64_t());
    case DType::u64: return visit(Plain<uint64_t>(), uint64_t());
    case DType::f16: return visit(Half(), uint16_t());
    case DType::bf16: return visit(Brain(), uint16_t());
    case DType::f32: return visit(Plain<float>(), float());
    case DType::f64: return visit(Plain<double>(), double());
    default: refuse_element_type(dtype);
  }
}

}  // namespace

double to_nearest(double value, DType dtype) {
  switch (dtype) {
    case DType::boolean: return value != 0 ? 1 : 0;
    case DType::u8: return to_integer<uint8_t>(value);
    case DType::i8: return to_integer<int8_t>(value);
    case DType::i16: return to_integer<int16_t>(value);
    case DType::u16: return to_integer<uint16_t>(value);
    case DType::i32: return to_integer<int32_t>(value);
    case DType::u32: return to_integer<uint32_t>(value);
    case DType::i64: return to_integer<int64_t>(value);
    case DType::u64: return to_integer<uint64_t>(value);
    case DType::f16: return to_format(value, kF16);
    case DType::bf16: return to_format(value, kBf16);
    case DType::f32: return static_cast<float>(value);
    case DType::f64: return value;
    default: refuse_element_type(dtype);
  }
}

Numbers read_numbers(const TensorType& type, const ConstantData& constant) {
  const int64_t count = checked_numel(type.shape, "constant");
  const auto expected = static_cast<uint64_t>(checked_bytes(type.shape, type.dtype, "constant"));
  if (constant.bytes.size() != expected)
    throw Error(ErrorKind::shape, {.where = "constant",
                                   .rule = "the bytes do not fit the type",
                                   .expected = fmt::format("{}", expected),
                                   .received = fmt::format("{}", constant.bytes.size())});
  Numbers numbers{type, std::vector<double>(static_cast<size_t>(count))};
  with_codec(type.dtype, [&](auto codec, auto stored) {
    const std::byte* from = constant.bytes.data();
    for (double& number : numbers.data) {
      std::memcpy(&stored, from, sizeof stored);
      number = codec.decode(stored);
      from += sizeof stored;
    }
  });
  return numbers;
}

ConstantData write_numbers(const Numbers& numbers) {
  const auto owner = std::make_shared<std::vector<std::byte>>(
      static_cast<size_t>(checked_bytes(numbers.type.shape, numbers.type.dtype, "constant")));
  if (numbers.data.size() != static_cast<size_t>(checked_numel(numbers.type.shape, "constant")))
    throw Error(ErrorKind::shape, {.where = "constant", .rule = "the numbers do not fit the type"});
  with_codec(numbers.type.dtype, [&](auto codec, auto stored) {
    std::byte* to = owner->data();
    for (const double number : numbers.data) {
      stored = codec.encode(to_nearest(number, numbers.type.dtype));
      std::memcpy(to, &stored, sizeof stored);
      to += sizeof stored;
    }
  });
  return {owner, *owner};
}

}  // namespace residua
