#pragma once
// Element types and shapes of tensors in files, without a tensor library.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace residua {

enum class DType { boolean, u8, i8, i16, u16, i32, u32, i64, u64, f16, bf16, f32, f64, c64, c128 };

using Shape = std::vector<int64_t>;  // row-major sizes; empty for a scalar

// Limits that every tensor file obeys.
inline constexpr size_t kMaxRank = 8;
inline constexpr size_t kMaxNameBytes = 1024;
inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;

int64_t element_size(DType dtype);        // bytes
bool is_floating(DType dtype);            // f16, bf16, f32, f64
bool is_integer(DType dtype);             // neither floating, complex nor boolean
std::string_view to_string(DType dtype);  // safetensors' names: "F32", "BOOL", ...; also "C128"
std::optional<DType> dtype_from_string(std::string_view name);  // the inverse

std::string to_string(const Shape& shape);  // "[2, 3]"

// The product of the sizes. Throws ErrorKind::limit, naming `where`, when the rank exceeds
// kMaxRank, a size is negative or the product does not fit int64.
int64_t checked_numel(const Shape& shape, std::string_view where);

// checked_numel times the element size, under the same rule.
int64_t checked_bytes(const Shape& shape, DType dtype, std::string_view where);

// Throws ErrorKind::limit when a tensor name is longer than kMaxNameBytes.
void check_tensor_name(std::string_view name, std::string_view where);

}  // namespace residua
