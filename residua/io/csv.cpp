#include "residua/io/csv.h"

#include <charconv>

#include "residua/core/error.h"
#include "residua/io/gzip.h"

namespace residua {

// One pass over the text; `position_` never goes back.
class CsvParser {
 public:
  CsvParser(std::string_view text, std::string_view where, const CsvOptions& options)
      : text_(text), options_(options) {
    table_.where_ = where;
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);  // a byte-order mark
  }

  CsvTable parse() {
    std::vector<std::string> record;
    bool first = true;
    while (position_ < text_.size()) {
      const int64_t begin = line_;
      if (skip_blank_line()) continue;
      record.clear();
      read_record(record);
      if (first) {
        table_.columns_ = static_cast<int64_t>(record.size());
        first = false;
        if (options_.header) {
          table_.header_ = record;
          continue;
        }
      }
      if (static_cast<int64_t>(record.size()) != table_.columns_)
        fail(begin, "has " + std::to_string(record.size()) + " fields",
             std::to_string(table_.columns_) + ", as in the first record");
      table_.lines_.push_back(begin);
      for (std::string& field : record) table_.cells_.push_back(std::move(field));
    }
    if (first && options_.header) fail(1, "has no record", "a header that names the columns");
    return std::move(table_);
  }

 private:
  bool at_line_end() const {
    return position_ == text_.size() || text_[position_] == '\n' ||
           (text_[position_] == '\r' && text_.substr(position_, 2) == "\r\n");
  }

  void take_line_end() {
    if (position_ < text_.size() && text_[position_] == '\r') ++position_;
    if (position_ < text_.size()) ++position_;
    ++line_;
  }

  bool skip_blank_line() {
    if (!at_line_end()) return false;
    take_line_end();
    return true;
  }

  void read_record(std::vector<std::string>& record) {
    for (;;) {
      const bool quoted = position_ < text_.size() && text_[position_] == '"';
      record.push_back(quoted ? quoted_field() : plain_field());
      if (at_line_end()) return take_line_end();
      ++position_;  // the separator
    }
  }

  std::string plain_field() {
    const size_t begin = position_;
    while (!at_line_end() && text_[position_] != options_.separator) {
      if (text_[position_] == '"')
        fail(line_, "has a quote inside an unquoted field",
             "the whole field in quotes, the inner quote doubled");
      ++position_;
    }
    return std::string(text_.substr(begin, position_ - begin));
  }

  std::string quoted_field() {
    const int64_t begin = line_;
    std::string field;
    for (++position_;; ++position_) {
      if (position_ == text_.size())
        fail(begin, "has a quote that does not close", "a closing quote");
      const char c = text_[position_];
      if (c == '"') {
        if (position_ + 1 == text_.size() || text_[position_ + 1] != '"') break;
        ++position_;
      }
      if (c == '\n') ++line_;
      field += c;
    }
    ++position_;
    if (!at_line_end() && text_[position_] != options_.separator)
      fail(line_, "has text after a closing quote", "a separator or the end of the line");
    return field;
  }

  [[noreturn]] void fail(int64_t line, std::string rule, std::string expected) const {
    throw Error(ErrorKind::corrupt_file, {.where = table_.where_ + ": line " + std::to_string(line),
                                          .rule = std::move(rule),
                                          .expected = std::move(expected)});
  }

  std::string_view text_;
  const CsvOptions& options_;
  size_t position_ = 0;
  int64_t line_ = 1;
  CsvTable table_;
};

const std::string& CsvTable::cell(int64_t row, int64_t column) const {
  if (row < 0 || row >= rows() || column < 0 || column >= columns_)
    throw Error(
        ErrorKind::invalid_argument,
        {.where = where_,
         .rule = "has no cell in row " + std::to_string(row) + ", column " + std::to_string(column),
         .expected = "rows below " + std::to_string(rows()) + " and columns below " +
                     std::to_string(columns_)});
  return cells_[static_cast<size_t>(row * columns_ + column)];
}

int64_t CsvTable::column(std::string_view name) const {
  for (size_t i = 0; i < header_.size(); ++i)
    if (header_[i] == name) return static_cast<int64_t>(i);
  throw Error(ErrorKind::not_found, {.where = where_,
                                     .rule = "has no column '" + std::string(name) + "'",
                                     .hint = nearest_names_hint(name, header_)});
}

namespace {

template <class Number>
bool parse_number(const std::string& text, Number& value) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  while (begin != end && (*begin == ' ' || *begin == '\t')) ++begin;
  while (begin != end && (end[-1] == ' ' || end[-1] == '\t')) --end;
  if (begin != end && *begin == '+' && end - begin > 1 && begin[1] != '-') ++begin;
  const auto [stop, code] = std::from_chars(begin, end, value);
  return begin != end && code == std::errc() && stop == end;
}

}  // namespace

double CsvTable::number(int64_t row, int64_t column) const {
  double value = 0;
  if (!parse_number(cell(row, column), value)) bad_cell(row, column, "a number");
  return value;
}

int64_t CsvTable::integer(int64_t row, int64_t column) const {
  int64_t value = 0;
  if (!parse_number(cell(row, column), value)) bad_cell(row, column, "an integer");
  return value;
}

void CsvTable::bad_cell(int64_t row, int64_t column, std::string expected) const {
  const std::string name = header_.empty()
                               ? "column " + std::to_string(column + 1)
                               : "column '" + header_[static_cast<size_t>(column)] + "'";
  throw Error(ErrorKind::corrupt_file,
              {.where = where_ + ": line " + std::to_string(line(row)) + ", " + name,
               .rule = "does not hold what is needed",
               .expected = std::move(expected),
               .received = "'" + cell(row, column).substr(0, 80) + "'"});
}

CsvTable parse_csv(std::string_view text, std::string_view where, const CsvOptions& options) {
  if (options.separator == '"' || options.separator == '\n' || options.separator == '\r')
    throw Error(
        ErrorKind::invalid_argument,
        {.where = std::string(where), .rule = "a quote or line break cannot separate fields"});
  if (text.size() > options.max_bytes)
    throw Error(ErrorKind::limit, {.where = std::string(where),
                                   .rule = "is larger than the " +
                                           std::to_string(options.max_bytes) + " bytes allowed"});
  return CsvParser(text, where, options).parse();
}

CsvTable read_csv(const std::string& path, const CsvOptions& options) {
  const std::vector<std::byte> bytes = read_file_maybe_gz(path, options.max_bytes);
  return parse_csv({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, options);
}

}  // namespace residua
