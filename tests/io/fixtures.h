#pragma once
// Where the fixtures lie, the rule of their values (tests/io/make_fixtures.py), and a folder for
// files of a test.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <filesystem>
#include <string>

#include "residua/core/error.h"
#include "residua/io/tensor_file.h"

namespace residua::testing {

inline std::string fixture(const std::string& name) {
  return std::string(RESIDUA_SOURCE_DIR) + "/tests/io/fixtures/" + name;
}

// A fresh folder, removed with everything in it at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "residua-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string file(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The error that `action` throws; fails the test when it throws none.
template <class Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error(ErrorKind::internal, {.rule = "none"});
}

inline float half_to_float(uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const float fraction = static_cast<float>(half & 1023) / 1024.0f;
  const float size =
      exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1.0f + fraction, exponent - 15);
  return (half & 0x8000) != 0 ? -size : size;
}

inline float bfloat_to_float(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result;
  std::memcpy(&result, &bits, 4);
  return result;
}

template <class Number>
Number element_of(const TensorData& tensor, size_t i) {
  Number value;
  std::memcpy(&value, tensor.bytes.data() + i * sizeof value, sizeof value);
  return value;
}

// Element i of a tensor of any type.
inline std::complex<double> value_of(const TensorData& tensor, size_t i) {
  switch (tensor.info.dtype) {
    case DType::boolean:
    case DType::u8: return element_of<uint8_t>(tensor, i);
    case DType::i8: return element_of<int8_t>(tensor, i);
    case DType::i16: return element_of<int16_t>(tensor, i);
    case DType::u16: return element_of<uint16_t>(tensor, i);
    case DType::i32: return element_of<int32_t>(tensor, i);
    case DType::u32: return element_of<uint32_t>(tensor, i);
    case DType::i64: return static_cast<double>(element_of<int64_t>(tensor, i));
    case DType::u64: return static_cast<double>(element_of<uint64_t>(tensor, i));
    case DType::f16: return half_to_float(element_of<uint16_t>(tensor, i));
    case DType::bf16: return bfloat_to_float(element_of<uint16_t>(tensor, i));
    case DType::f32: return element_of<float>(tensor, i);
    case DType::f64: return element_of<double>(tensor, i);
    case DType::c64: return element_of<std::complex<float>>(tensor, i);
    case DType::c128: return element_of<std::complex<double>>(tensor, i);
  }
  return 0;
}

// What the rule puts at row-major position i.
inline std::complex<double> ruled_value(DType dtype, int64_t i) {
  const auto signed_value = static_cast<double>(i % 7 - 2);
  switch (dtype) {
    case DType::boolean: return static_cast<double>(i % 2);
    case DType::u8:
    case DType::u16:
    case DType::u32:
    case DType::u64: return static_cast<double>(i % 7);
    case DType::c64:
    case DType::c128: return {signed_value, -static_cast<double>(i % 5)};
    default: return signed_value;
  }
}

// `source(i)` is the position under the rule of element i.
template <class Source>
void expect_ruled(const TensorFile& file, const std::string& name, DType dtype, const Shape& shape,
                  Source source) {
  SCOPED_TRACE(file.path() + ": " + name);
  const TensorData tensor = file.read(name);
  ASSERT_EQ(tensor.info.name, name);
  ASSERT_EQ(to_string(tensor.info.dtype), to_string(dtype));
  ASSERT_EQ(tensor.info.shape, shape);
  const int64_t count = checked_numel(shape, name);
  ASSERT_EQ(tensor.bytes.size(), static_cast<size_t>(count * element_size(dtype)));
  for (int64_t i = 0; i < count; ++i)
    ASSERT_EQ(value_of(tensor, static_cast<size_t>(i)), ruled_value(dtype, source(i)))
        << "element " << i;
}

inline void expect_ruled(const TensorFile& file, const std::string& name, DType dtype,
                         const Shape& shape) {
  expect_ruled(file, name, dtype, shape, [](int64_t i) { return i; });
}

}  // namespace residua::testing
