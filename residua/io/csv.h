#pragma once
// Comma-separated values (RFC 4180): quoted fields, doubled quotes, line breaks within quotes, LF
// or CRLF.
//
//   CsvTable table = read_csv("train.csv.gz");
//   double y = table.number(row, table.column("price"));

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace residua {

struct CsvOptions {
  bool header = true;  // the first record names the columns
  char separator = ',';
  uint64_t max_bytes = 1ULL << 30;  // of text, after decompression
};

class CsvTable {
 public:
  int64_t rows() const {
    return columns_ == 0 ? 0 : static_cast<int64_t>(cells_.size()) / columns_;
  }
  int64_t columns() const { return columns_; }
  const std::vector<std::string>& header() const { return header_; }  // empty without a header
  const std::string& where() const { return where_; }

  const std::string& cell(int64_t row, int64_t column) const;
  int64_t column(std::string_view name) const;  // ErrorKind::not_found with the nearest names
  double number(int64_t row, int64_t column)
      const;  // ErrorKind::corrupt_file with line and column if it is none
  int64_t integer(int64_t row, int64_t column) const;
  int64_t line(int64_t row) const {
    return lines_.at(static_cast<size_t>(row));
  }  // from 1, where the record begins

 private:
  friend class CsvParser;
  [[noreturn]] void bad_cell(int64_t row, int64_t column, std::string expected) const;

  std::string where_;
  int64_t columns_ = 0;
  std::vector<std::string> header_;
  std::vector<std::string> cells_;  // row-major
  std::vector<int64_t> lines_;
};

// Errors are ErrorKind::corrupt_file and name the line: a record with another number of fields, a
// quote that does not close, a quote inside an unquoted field, text after a closing quote. Blank
// lines are skipped.
CsvTable parse_csv(std::string_view text, std::string_view where, const CsvOptions& options = {});
CsvTable read_csv(const std::string& path, const CsvOptions& options = {});  // plain or gzip

}  // namespace residua
