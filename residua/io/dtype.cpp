#include "residua/io/dtype.h"

#include <array>
#include <utility>

#include "residua/core/error.h"

namespace residua {

namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  int64_t size;
};

constexpr std::array<DTypeRow, 15> kDTypes{{{DType::boolean, "BOOL", 1},
                                            {DType::u8, "U8", 1},
                                            {DType::i8, "I8", 1},
                                            {DType::i16, "I16", 2},
                                            {DType::u16, "U16", 2},
                                            {DType::i32, "I32", 4},
                                            {DType::u32, "U32", 4},
                                            {DType::i64, "I64", 8},
                                            {DType::u64, "U64", 8},
                                            {DType::f16, "F16", 2},
                                            {DType::bf16, "BF16", 2},
                                            {DType::f32, "F32", 4},
                                            {DType::f64, "F64", 8},
                                            {DType::c64, "C64", 8},
                                            {DType::c128, "C128", 16}}};

const DTypeRow& dtype_row(DType dtype) {
  const auto index = static_cast<size_t>(dtype);
  if (index >= kDTypes.size())
    throw Error(ErrorKind::internal, {.rule = "element type out of range"});
  return kDTypes[index];
}

}  // namespace

int64_t element_size(DType dtype) { return dtype_row(dtype).size; }

bool is_floating(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::f32 || dtype == DType::f64;
}

bool is_integer(DType dtype) { return dtype >= DType::u8 && dtype <= DType::u64; }

std::string_view to_string(DType dtype) { return dtype_row(dtype).name; }

std::optional<DType> dtype_from_string(std::string_view name) {
  for (const DTypeRow& row : kDTypes)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

int64_t checked_numel(const Shape& shape, std::string_view where) {
  const auto refuse = [&](std::string rule) {
    throw Error(ErrorKind::limit, {.where = std::string(where), .rule = std::move(rule)});
  };
  if (shape.size() > kMaxRank)
    refuse("has " + std::to_string(shape.size()) + " dimensions, more than the " +
           std::to_string(kMaxRank) + " allowed");
  // Zero sizes are kept out of the product so that no order of the sizes hides an overflow.
  int64_t product = 1;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) refuse("has the negative size " + std::to_string(size));
    if (size == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, size, &product)) {
      refuse("the product of its sizes " + to_string(shape) + " exceeds 64 bits");
    }
  }
  return empty ? 0 : product;
}

int64_t checked_bytes(const Shape& shape, DType dtype, std::string_view where) {
  int64_t bytes = 0;
  if (__builtin_mul_overflow(checked_numel(shape, where), element_size(dtype), &bytes))
    throw Error(ErrorKind::limit,
                {.where = std::string(where),
                 .rule = "the byte size of shape " + to_string(shape) + " exceeds 64 bits"});
  return bytes;
}

void check_tensor_name(std::string_view name, std::string_view where) {
  if (name.size() <= kMaxNameBytes) return;
  throw Error(ErrorKind::limit,
              {.where = std::string(where) + ": " + std::string(name.substr(0, 40)) + "...",
               .rule = "a tensor name has " + std::to_string(name.size()) +
                       " bytes, more than the " + std::to_string(kMaxNameBytes) + " allowed"});
}

}  // namespace residua
