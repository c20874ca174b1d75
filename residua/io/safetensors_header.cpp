#include "residua/io/safetensors_header.h"

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "residua/core/error.h"

namespace residua {

namespace {

// Events of the JSON parser, in the only order that a header may have:
// { "__metadata__": {text: text}, name: {"dtype": text, "shape": [n...], "data_offsets": [n, n]},
// ... }
class HeaderEvents {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  explicit HeaderEvents(const std::string& path) : path_(path) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool null() { return misplaced("null"); }
  bool boolean(bool) { return misplaced("a truth value"); }
  bool number_integer(number_integer_t) { return misplaced("a negative number"); }
  bool number_float(number_float_t, const string_t&) { return misplaced("a fraction"); }
  bool binary(binary_t&) { return misplaced("binary data"); }

  bool number_unsigned(number_unsigned_t value) {
    if (place_ == Place::shape) {
      if (value > static_cast<number_unsigned_t>(INT64_MAX))
        refuse(ErrorKind::limit, "the size " + std::to_string(value) + " exceeds 63 bits");
      if (entry_.shape.size() == kMaxRank)
        refuse(ErrorKind::limit,
               "has more than the " + std::to_string(kMaxRank) + " dimensions allowed");
      entry_.shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (place_ == Place::offsets) {
      if (offsets_ == 2) refuse(ErrorKind::corrupt_file, "has more than two data offsets");
      (offsets_++ == 0 ? entry_.begin : entry_.end) = value;
      return true;
    }
    return misplaced("a number");
  }

  bool string(string_t& value) {
    if (place_ == Place::metadata) {
      header_.metadata[key_] = std::move(value);
      return true;
    }
    if (place_ != Place::tensor || key_ != "dtype") return misplaced("text");
    const auto dtype = dtype_from_string(value);
    if (!dtype || *dtype == DType::c128)
      refuse(ErrorKind::unsupported, "has the unknown element type '" + value.substr(0, 40) + "'");
    entry_.dtype = *dtype;
    has_dtype_ = true;
    return true;
  }

  bool start_object(size_t) {
    if (place_ == Place::start) {
      place_ = Place::root;
    } else if (place_ == Place::root) {
      place_ = key_ == "__metadata__" ? Place::metadata : Place::tensor;
      entry_ = SafetensorsEntry();
      entry_.name = key_;
      offsets_ = 0;
      has_dtype_ = has_shape_ = has_offsets_ = false;
    } else {
      return misplaced("an object");
    }
    return true;
  }

  bool key(string_t& value) {
    if (place_ == Place::root) {
      check_tensor_name(value, path_);
      if (!names_.insert(value).second) {
        entry_.name = value;
        place_ = Place::tensor;
        refuse(ErrorKind::corrupt_file, "is named twice");
      }
    } else if (place_ == Place::metadata) {
      if (header_.metadata.contains(value))
        refuse(ErrorKind::corrupt_file, "the metadata names '" + value.substr(0, 80) + "' twice");
    } else {
      const bool repeated = (value == "dtype" && has_dtype_) || (value == "shape" && has_shape_) ||
                            (value == "data_offsets" && has_offsets_);
      if (repeated) refuse(ErrorKind::corrupt_file, "has '" + value + "' twice");
      if (value != "dtype" && value != "shape" && value != "data_offsets")
        refuse(ErrorKind::corrupt_file, "has the unknown field '" + value.substr(0, 40) + "'");
    }
    key_ = std::move(value);
    return true;
  }

  bool end_object() {
    if (place_ == Place::tensor) {
      if (!has_dtype_ || !has_shape_ || !has_offsets_ || offsets_ != 2)
        refuse(ErrorKind::corrupt_file, "lacks one of dtype, shape and two data offsets");
      header_.tensors.push_back(std::move(entry_));
    }
    place_ = place_ == Place::root ? Place::end : Place::root;
    return true;
  }

  bool start_array(size_t) {
    if (place_ == Place::tensor && key_ == "shape") {
      place_ = Place::shape;
      has_shape_ = true;
    } else if (place_ == Place::tensor && key_ == "data_offsets") {
      place_ = Place::offsets;
      has_offsets_ = true;
    } else {
      return misplaced("a list");
    }
    return true;
  }

  bool end_array() {
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) {
    throw Error(ErrorKind::corrupt_file,
                {.where = path_,
                 .rule = "the header is not valid JSON near its byte " + std::to_string(position)});
  }

 private:
  enum class Place { start, root, metadata, tensor, shape, offsets, end };

  [[noreturn]] void refuse(ErrorKind kind, std::string rule) const {
    const bool in_tensor =
        place_ == Place::tensor || place_ == Place::shape || place_ == Place::offsets;
    throw Error(kind, {.where = in_tensor ? path_ + ": tensor '" + entry_.name + "'" : path_,
                       .rule = std::move(rule)});
  }

  bool misplaced(const char* what) const {
    refuse(ErrorKind::corrupt_file, std::string("the header has ") + what + " where none may be");
  }

  const std::string& path_;
  SafetensorsHeader header_;
  std::unordered_set<std::string> names_;
  Place place_ = Place::start;
  SafetensorsEntry entry_;
  std::string key_;
  int offsets_ = 0;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, const std::string& path) {
  if (json.empty() || json.front() != '{')
    throw Error(ErrorKind::corrupt_file,
                {.where = path, .rule = "the header does not begin with '{'"});
  HeaderEvents events(path);
  nlohmann::json::sax_parse(json.begin(), json.end(), &events);
  return events.take();
}

}  // namespace residua
