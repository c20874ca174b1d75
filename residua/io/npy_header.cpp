#include "residua/io/npy_header.h"

#include <charconv>
#include <optional>

#include "residua/core/error.h"
#include "residua/io/bytes.h"

namespace residua {

namespace {

struct NumpyType {
  std::string_view code;
  DType dtype;
};

constexpr NumpyType kNumpyTypes[] = {
    {"b1", DType::boolean}, {"u1", DType::u8},   {"i1", DType::i8},  {"i2", DType::i16},
    {"u2", DType::u16},     {"i4", DType::i32},  {"u4", DType::u32}, {"i8", DType::i64},
    {"u8", DType::u64},     {"f2", DType::f16},  {"f4", DType::f32}, {"f8", DType::f64},
    {"c8", DType::c64},     {"c16", DType::c128}};

constexpr std::string_view kNpyMagic("\x93NUMPY", 6);

// Reads the dictionary literal, e.g. {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class NpyDictionary {
 public:
  NpyDictionary(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  NpyHeader parse() {
    expect('{');
    while (!accept('}')) {
      const std::string_view key = text();
      expect(':');
      if (key == "descr" && !has_descr_) {
        has_descr_ = true;
        read_type();
      } else if (key == "fortran_order" && !has_order_) {
        has_order_ = true;
        header_.fortran_order = truth();
      } else if (key == "shape" && !has_shape_) {
        has_shape_ = true;
        read_shape();
      } else {
        corrupt("has the unknown or repeated key '" + std::string(key.substr(0, 40)) + "'");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) corrupt("has text after its dictionary");
    if (!has_descr_ || !has_order_ || !has_shape_)
      corrupt("lacks one of descr, fortran_order and shape");
    return std::move(header_);
  }

 private:
  [[noreturn]] void corrupt(const std::string& rule) const {
    throw Error(ErrorKind::corrupt_file, {.where = where_, .rule = "the array header " + rule});
  }

  void skip_space() {
    while (!rest_.empty() &&
           (rest_.front() == ' ' || rest_.front() == '\n' || rest_.front() == '\t'))
      rest_.remove_prefix(1);
  }

  bool accept(char c) {
    skip_space();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!accept(c)) corrupt(std::string("is not a dictionary: '") + c + "' is missing");
  }

  std::string_view text() {
    skip_space();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    if (quote != '\'' && quote != '"') corrupt("has something else where a text must be");
    const size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) corrupt("has a quote that does not close");
    const std::string_view value = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return value;
  }

  bool truth() {
    skip_space();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    corrupt("has something else where True or False must be");
  }

  void read_type() {
    skip_space();
    if (!rest_.empty() && rest_.front() == '[') unsupported("a structured type");
    const std::string_view descr = text();
    const char order = descr.empty() ? '\0' : descr.front();
    if (order != '<' && order != '>' && order != '|' && order != '=') unsupported(descr);
    for (const NumpyType& type : kNumpyTypes) {
      if (type.code != descr.substr(1)) continue;
      header_.dtype = type.dtype;
      header_.swap = order == '>';
      return;
    }
    unsupported(descr);
  }

  [[noreturn]] void unsupported(std::string_view type) const {
    throw Error(ErrorKind::unsupported,
                {.where = where_,
                 .rule = "the element type is not one of numbers",
                 .expected = "bool, integer, float or complex",
                 .received = std::string(type.substr(0, 40)),
                 .hint = type.find('O') != std::string_view::npos
                             ? "object arrays hold pickled code and are never loaded"
                             : ""});
  }

  void read_shape() {
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t size = 0;
      const auto [stop, code] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (code != std::errc() || size < 0) corrupt("has a size that is no 64-bit count");
      rest_.remove_prefix(static_cast<size_t>(stop - rest_.data()));
      if (rest_.starts_with('L')) rest_.remove_prefix(1);  // long integers of Python 2
      if (header_.shape.size() == kMaxRank)
        throw Error(ErrorKind::limit, {.where = where_,
                                       .rule = "has more than the " + std::to_string(kMaxRank) +
                                               " dimensions allowed"});
      header_.shape.push_back(size);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view text_;
  std::string_view rest_ = text_;
  const std::string& where_;
  NpyHeader header_;
  bool has_descr_ = false, has_order_ = false, has_shape_ = false;
};

}  // namespace

NpyHeader parse_npy_header(std::span<const std::byte> begin, uint64_t file_size,
                           const std::string& where) {
  const auto corrupt = [&](std::string rule) {
    throw Error(ErrorKind::corrupt_file, {.where = where, .rule = std::move(rule)});
  };
  const std::string_view text(reinterpret_cast<const char*>(begin.data()), begin.size());
  if (begin.size() < 10 || !text.starts_with(kNpyMagic)) corrupt("is not an .npy array");
  const auto version = static_cast<unsigned>(begin[6]);
  if (version < 1 || version > 3 || begin[7] != std::byte{0})
    throw Error(ErrorKind::unsupported, {.where = where,
                                         .rule = "has .npy version " + std::to_string(version),
                                         .expected = "1.0 to 3.0"});
  const size_t prefix = version == 1 ? 10 : 12;
  if (begin.size() < prefix) corrupt("is cut off in the array header");
  const size_t length =
      version == 1 ? load_little<uint16_t>(&begin[8]) : load_little<uint32_t>(&begin[8]);
  if (length > begin.size() - prefix) corrupt("is cut off in the array header");
  if (length > kMaxHeaderBytes)
    throw Error(ErrorKind::limit, {.where = where, .rule = "the array header exceeds 100 MB"});
  NpyHeader header = NpyDictionary(text.substr(prefix, length), where).parse();
  header.size = prefix + length;
  const auto bytes = static_cast<uint64_t>(checked_bytes(header.shape, header.dtype, where));
  if (bytes != file_size - header.size)
    corrupt("shape " + to_string(header.shape) + " of " + std::string(to_string(header.dtype)) +
            " needs " + std::to_string(bytes) + " bytes of data, but " +
            std::to_string(file_size - header.size) + " are there");
  return header;
}

std::string compose_npy_header(DType dtype, const Shape& shape, const std::string& where) {
  std::string_view code;
  for (const NumpyType& type : kNumpyTypes)
    if (type.dtype == dtype) code = type.code;
  if (code.empty())
    throw Error(ErrorKind::unsupported,
                {.where = where, .rule = "NumPy has no type " + std::string(to_string(dtype))});
  std::string dictionary = "{'descr': '" + std::string(element_size(dtype) == 1 ? "|" : "<") +
                           std::string(code) + "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < shape.size(); ++i)
    dictionary += std::to_string(shape[i]) + (i + 1 < shape.size() ? ", "
                                              : shape.size() == 1  ? ","
                                                                   : "");
  dictionary += "), }";
  // A rank of at most 8 keeps the dictionary far below the 65,535 bytes of version 1.0.
  const size_t padded = (10 + dictionary.size() + 1 + 63) / 64 * 64;
  dictionary.resize(padded - 10 - 1, ' ');
  dictionary += '\n';
  std::string header(kNpyMagic);
  header += '\x01';
  header += '\0';
  append_little<uint16_t>(header, static_cast<uint16_t>(dictionary.size()));
  return header + dictionary;
}

}  // namespace residua
