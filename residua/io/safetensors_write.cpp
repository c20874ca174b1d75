#include <algorithm>
#include <numeric>

#include "residua/core/error.h"
#include "residua/core/json.h"
#include "residua/io/atomic_file.h"
#include "residua/io/bytes.h"
#include "residua/io/safetensors.h"

namespace residua {

namespace {

// The reference lays out wider types first so that every tensor stays aligned; within a width its
// order of types.
int layout_rank(DType dtype) {
  constexpr DType kOrder[] = {DType::u64, DType::i64, DType::f64,  DType::c64,    DType::f32,
                              DType::u32, DType::i32, DType::bf16, DType::f16,    DType::u16,
                              DType::i16, DType::i8,  DType::u8,   DType::boolean};
  return static_cast<int>(std::find(std::begin(kOrder), std::end(kOrder), dtype) -
                          std::begin(kOrder));
}

void check_tensors_to_write(const std::string& path, std::span<const TensorView* const> sorted) {
  const std::string* last = nullptr;
  for (const TensorView* tensor : sorted) {
    const std::string where = path + ": tensor '" + tensor->name + "'";
    check_tensor_name(tensor->name, path);
    if (tensor->dtype == DType::c128)
      throw Error(ErrorKind::unsupported, {.where = where, .rule = "safetensors has no type C128"});
    if (tensor->name == "__metadata__" || (last != nullptr && *last == tensor->name))
      throw Error(ErrorKind::invalid_argument, {.where = where, .rule = "the name is taken"});
    check_view(*tensor, where);
    last = &tensor->name;
  }
}

std::string quoted(const std::string& text, const std::string& path) {
  try {
    return Json(text).dump();
  } catch (const Json::type_error&) {
    throw Error(ErrorKind::invalid_argument,
                {.where = path, .rule = "names and metadata must be valid UTF-8"});
  }
}

std::string compose_header(const std::string& path, std::span<const TensorView* const> sorted,
                           const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  const char* comma = "";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      header += comma + quoted(key, path) + ":" + quoted(value, path);
      comma = ",";
    }
    header += "}";
  }
  size_t begin = 0;
  for (const TensorView* tensor : sorted) {
    header += comma + quoted(tensor->name, path) + ":{\"dtype\":\"";
    header += to_string(tensor->dtype);
    header += "\",\"shape\":[";
    for (size_t i = 0; i < tensor->shape.size(); ++i)
      header += (i > 0 ? "," : "") + std::to_string(tensor->shape[i]);
    const size_t end = begin + tensor->bytes.size();
    header += "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
    begin = end;
    comma = ",";
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  if (header.size() > kMaxHeaderBytes)
    throw Error(ErrorKind::limit, {.where = path, .rule = "the header would exceed 100 MB"});
  return header;
}

}  // namespace

void write_safetensors(const std::string& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const TensorView*> sorted;
  for (const TensorView& tensor : tensors) sorted.push_back(&tensor);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  check_tensors_to_write(path, sorted);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
    return layout_rank(a->dtype) < layout_rank(b->dtype);
  });
  const std::string header = compose_header(path, sorted, metadata);
  AtomicFile file(path);
  std::string length;
  append_little<uint64_t>(length, header.size());
  file.write(length + header);
  for (const TensorView* tensor : sorted) file.write(tensor->bytes);
  file.commit();
}

}  // namespace residua
