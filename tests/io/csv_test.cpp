#include "residua/io/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "residua/io/atomic_file.h"
#include "residua/io/gzip.h"
#include "tests/io/fixtures.h"

namespace residua::testing {
namespace {

std::vector<std::string> cells_of(const CsvTable& table) {
  std::vector<std::string> cells;
  for (int64_t row = 0; row < table.rows(); ++row)
    for (int64_t column = 0; column < table.columns(); ++column)
      cells.push_back(table.cell(row, column));
  return cells;
}

TEST(Csv, ReadsQuotesLineBreaksAndBothLineEnds) {
  const CsvTable table = parse_csv("a,b\r\n1,\"x,\"\"y\"\"\r\nz\"\n\n,\r\n\"\",last", "t");
  EXPECT_THAT(table.header(), ::testing::ElementsAre("a", "b"));
  EXPECT_THAT(cells_of(table), ::testing::ElementsAre("1", "x,\"y\"\r\nz", "", "", "", "last"));
  EXPECT_EQ(table.line(0), 2);
  EXPECT_EQ(table.line(1), 5);
  EXPECT_EQ(table.line(2), 6);
}

TEST(Csv, ReadsWithoutHeaderAndWithOtherSeparators) {
  const CsvTable table = parse_csv(
      "\xEF\xBB\xBF"
      "1;2\n3;4\n",
      "t", {.header = false, .separator = ';'});
  EXPECT_EQ(table.rows(), 2);
  EXPECT_EQ(table.integer(0, 0), 1);
  EXPECT_EQ(table.number(1, 1), 4.0);
}

TEST(Csv, ReadsNumbersStrictly) {
  const CsvTable table = parse_csv("x\n 1.5 \n+2\n-3e2\n4x\n\"\"\n1.5.2\n+-1\n", "t");
  EXPECT_EQ(table.number(0, 0), 1.5);
  EXPECT_EQ(table.number(1, 0), 2.0);
  EXPECT_EQ(table.number(2, 0), -300.0);
  for (int64_t row = 3; row < 7; ++row) {
    const Error error = error_of([&] { table.number(row, 0); });
    EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
    EXPECT_THAT(error.text().where,
                ::testing::HasSubstr("line " + std::to_string(row + 2) + ", column 'x'"));
  }
  EXPECT_EQ(error_of([&] { table.integer(0, 0); }).kind(), ErrorKind::corrupt_file);
  EXPECT_EQ(error_of([&] { table.cell(7, 0); }).kind(), ErrorKind::invalid_argument);
  const Error missing = error_of([&] { table.column("xx"); });
  EXPECT_EQ(missing.kind(), ErrorKind::not_found);
  EXPECT_THAT(missing.what(), ::testing::HasSubstr("'x'"));
}

TEST(Csv, NamesTheLineOfAnError) {
  const std::pair<const char*, const char*> cases[] = {{"a,b\n1,2\n3\n", "line 3"},
                                                       {"a,b\n1,2\n\"3\n4", "line 3"},
                                                       {"a\n\"x\ny\"\nb\"c\n", "line 4"},
                                                       {"a\n\"x\"y\n", "line 2"},
                                                       {"", "line 1"}};
  for (const auto& [text, line] : cases) {
    const Error error = error_of([&] { parse_csv(text, "t"); });
    EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
    EXPECT_EQ(error.text().where, std::string("t: ") + line);
  }
  EXPECT_EQ(error_of([&] { parse_csv("abc", "t", {.max_bytes = 2}); }).kind(), ErrorKind::limit);
}

std::vector<std::byte> gzip(std::string_view text) {
  std::vector<std::byte> packed(text.size() + 100);
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

TEST(Gzip, ReadsPlainAndCompressedFiles) {
  const TemporaryFolder folder;
  const std::string text = "a,b\n1,2\n";
  write_file_atomic(folder.file("plain.csv"), text);
  write_file_atomic(folder.file("packed"), std::span<const std::byte>(gzip(text)));
  EXPECT_EQ(read_csv(folder.file("plain.csv")).integer(0, 1), 2);
  EXPECT_EQ(read_csv(folder.file("packed")).integer(0, 1), 2);
}

TEST(Gzip, JoinsMembersAndBoundsThem) {
  std::vector<std::byte> two = gzip(std::string(5000, 'x'));
  const std::vector<std::byte> second = gzip("y");
  two.insert(two.end(), second.begin(), second.end());
  EXPECT_EQ(gunzip(two, "t", 5001).size(), 5001u);
  EXPECT_EQ(error_of([&] { gunzip(two, "t", 5000); }).kind(), ErrorKind::limit);
  EXPECT_EQ(error_of([&] { gunzip(gzip(std::string(10 << 20, 'x')), "t", 100); }).kind(),
            ErrorKind::limit);
  for (size_t size = 0; size < second.size(); ++size)
    EXPECT_EQ(error_of([&] { gunzip(std::span(second).first(size), "t", 100); }).kind(),
              ErrorKind::corrupt_file);
  two.push_back(std::byte{0});
  EXPECT_EQ(error_of([&] { gunzip(two, "t", 1 << 20); }).kind(), ErrorKind::corrupt_file);
}

}  // namespace
}  // namespace residua::testing
