// Tensors of ONNX files.
#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <filesystem>

#include "residua/core/error.h"
#include "residua/graph/onnx/form.h"
#include "residua/io/bytes.h"

namespace residua {

namespace {

constexpr std::pair<DType, pb::TensorProto::DataType> kOnnxTypes[] = {
    {DType::boolean, pb::TensorProto::BOOL},   {DType::u8, pb::TensorProto::UINT8},
    {DType::i8, pb::TensorProto::INT8},        {DType::i16, pb::TensorProto::INT16},
    {DType::u16, pb::TensorProto::UINT16},     {DType::i32, pb::TensorProto::INT32},
    {DType::u32, pb::TensorProto::UINT32},     {DType::i64, pb::TensorProto::INT64},
    {DType::u64, pb::TensorProto::UINT64},     {DType::f16, pb::TensorProto::FLOAT16},
    {DType::bf16, pb::TensorProto::BFLOAT16},  {DType::f32, pb::TensorProto::FLOAT},
    {DType::f64, pb::TensorProto::DOUBLE},     {DType::c64, pb::TensorProto::COMPLEX64},
    {DType::c128, pb::TensorProto::COMPLEX128}};

[[noreturn]] void refuse_tensor(const std::string& where, std::string rule,
                                std::string expected = {}, std::string received = {}) {
  throw Error(ErrorKind::corrupt_file, {.where = where,
                                        .rule = std::move(rule),
                                        .expected = std::move(expected),
                                        .received = std::move(received)});
}

// Numbers of a typed field, each in as many bytes as the element type has.
template <class Element, class Numbers>
OwnedBytes packed(const Numbers& numbers) {
  std::vector<std::byte> bytes(static_cast<size_t>(numbers.size()) * sizeof(Element));
  std::byte* to = bytes.data();
  for (const auto number : numbers) {
    const auto element = static_cast<Element>(number);
    std::memcpy(to, &element, sizeof element);
    to += sizeof element;
  }
  return own_bytes(std::move(bytes));
}

OwnedBytes typed_bytes(const pb::TensorProto& form, DType dtype) {
  switch (dtype) {
    case DType::boolean:
    case DType::u8:
    case DType::i8: return packed<uint8_t>(form.int32_data());
    case DType::i16:
    case DType::u16:
    case DType::f16:
    case DType::bf16: return packed<uint16_t>(form.int32_data());
    case DType::i32: return packed<int32_t>(form.int32_data());
    case DType::u32: return packed<uint32_t>(form.uint64_data());
    case DType::u64: return packed<uint64_t>(form.uint64_data());
    case DType::i64: return packed<int64_t>(form.int64_data());
    case DType::f32:
    case DType::c64: return packed<float>(form.float_data());
    case DType::f64:
    case DType::c128: return packed<double>(form.double_data());
  }
  return {};
}

uint64_t number_entry(const std::string& text, const std::string& where) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    refuse_tensor(where, "has a place in its data file that is no number", "a number", text);
  return value;
}

// The file of the folder that a location names, and not one elsewhere.
std::filesystem::path inner_path(const std::string& folder, const std::string& location,
                                 const std::string& where) {
  namespace fs = std::filesystem;
  const auto refuse = [&] {
    refuse_tensor(where, "must have its data in the model's folder", "a relative path inside it",
                  location.substr(0, 200));
  };
  const fs::path relative(location);
  if (location.empty() || location.find('\0') != std::string::npos ||
      location.find('\\') != std::string::npos || relative.is_absolute())
    refuse();
  for (const fs::path& part : relative)
    if (part == "..") refuse();
  std::error_code error;
  const fs::path root = fs::canonical(folder.empty() ? "." : folder, error);
  if (error) throw_io_error(folder, "cannot find the folder", error.value());
  const fs::path file = fs::canonical(root / relative, error);
  if (error)
    throw Error(ErrorKind::not_found, {.where = where,
                                       .rule = "has its data in a file that does not exist",
                                       .received = location.substr(0, 200)});
  // A link may lead out of the folder.
  const fs::path way = file.lexically_relative(root);
  if (way.empty() || *way.begin() == "..") refuse();
  return file;
}

}  // namespace

std::optional<DType> dtype_of_onnx(int32_t data_type) {
  for (const auto& [dtype, onnx] : kOnnxTypes)
    if (onnx == data_type) return dtype;
  return std::nullopt;
}

int32_t onnx_of_dtype(DType dtype) {
  for (const auto& [ours, onnx] : kOnnxTypes)
    if (ours == dtype) return onnx;
  throw Error(ErrorKind::internal, {.rule = "an element type has no ONNX type"});
}

OwnedBytes onnx_external_bytes(const OnnxFile& file, const pb::TensorProto& form, uint64_t bytes,
                               const std::string& where) {
  std::string location;
  uint64_t offset = 0, length = bytes;
  for (const pb::StringStringEntryProto& entry : form.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = number_entry(entry.value(), where);
    if (entry.key() == "length") length = number_entry(entry.value(), where);
  }
  if (!file.folder)
    throw Error(ErrorKind::unsupported,
                {.where = where, .rule = "has its data in another file, and there is no folder"});
  if (length != bytes)
    refuse_tensor(where, "has another length in its data file than its type needs",
                  fmt::format("{} bytes", bytes), fmt::format("{}", length));
  const OwnedBytes data = map_file(inner_path(*file.folder, location, where).string());
  if (offset > data.bytes.size() || length > data.bytes.size() - offset)
    refuse_tensor(where, "reaches beyond its data file",
                  fmt::format("at most {} bytes", data.bytes.size()),
                  fmt::format("{} from {} on", length, offset));
  return {data.owner, data.bytes.subspan(offset, length)};
}

TensorData onnx_tensor(std::shared_ptr<const OnnxFile> file, const pb::TensorProto& form,
                       std::optional<std::span<const std::byte>> raw, const std::string& where) {
  const auto dtype = dtype_of_onnx(form.data_type());
  if (!dtype)
    throw Error(ErrorKind::unsupported, {.where = where,
                                         .rule = "has an element type that graphs do not have",
                                         .received = fmt::format("type {}", form.data_type())});
  if (form.has_segment())
    throw Error(ErrorKind::unsupported, {.where = where, .rule = "is a part of a tensor"});
  if (form.dims_size() > static_cast<int>(kMaxRank))
    throw Error(ErrorKind::limit, {.where = where,
                                   .rule = "has too many axes",
                                   .expected = fmt::format("at most {}", kMaxRank),
                                   .received = fmt::format("{}", form.dims_size())});
  const TensorInfo info{form.name(), *dtype, Shape(form.dims().begin(), form.dims().end())};
  const auto bytes = static_cast<uint64_t>(checked_bytes(info.shape, info.dtype, where));
  OwnedBytes data;
  if (form.data_location() == pb::TensorProto::EXTERNAL) {
    data = onnx_external_bytes(*file, form, bytes, where);
  } else if (raw) {
    data = {file, *raw};
  } else if (form.has_raw_data()) {
    data = {file, std::as_bytes(std::span(form.raw_data()))};
  } else {
    data = typed_bytes(form, *dtype);
  }
  if (data.bytes.size() != bytes)
    refuse_tensor(where, "has another number of bytes than its shape and type need",
                  fmt::format("{} for {} {}", bytes, to_string(info.dtype), to_string(info.shape)),
                  fmt::format("{}", data.bytes.size()));
  return aligned_tensor(info, data);
}

std::string dimension_text(const SymbolRule& rule) {
  std::string text =
      rule.factor == 1 ? rule.symbol : fmt::format("{}*{}", rule.factor, rule.symbol);
  if (rule.offset != 0) text += fmt::format("{:+}", rule.offset);
  return text;
}

SymbolRule parse_dimension(const std::string& text) {
  SymbolRule rule{text};
  const auto number = [](std::string_view part, int64_t& value) {
    if (part.starts_with('+')) part.remove_prefix(1);
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    return !part.empty() && error == std::errc() && end == part.data() + part.size();
  };
  std::string_view rest = text;
  if (const size_t sign = rest.find_last_of("+-"); sign != std::string_view::npos && sign > 0) {
    if (!number(rest.substr(sign), rule.offset)) return {text};
    rest = rest.substr(0, sign);
  }
  if (const size_t star = rest.find('*'); star != std::string_view::npos) {
    if (!number(rest.substr(0, star), rule.factor) || rule.factor == 0) return {text};
    rest = rest.substr(star + 1);
  }
  if (rest.empty()) return {text};
  rule.symbol = std::string(rest);
  // Only what would be written so is understood; all else is a name.
  return dimension_text(rule) == text ? rule : SymbolRule{text};
}

}  // namespace residua
