// Tables and gzip.
#include "residua/io/csv.h"

#include <algorithm>

#include "residua/io/gzip.h"
#include "tests/fuzz/fuzz.h"

namespace {

void parse(std::string_view text) {
  using namespace residua;
  fuzz::expect_error_or_success([&] {
    const CsvTable table = parse_csv(text, "input", {.header = text.size() % 2 == 0});
    // Some cells are enough: an exception for each of thousands would leave no time for other
    // inputs.
    for (int64_t row = 0; row < std::min<int64_t>(table.rows(), 4); ++row)
      for (int64_t column = 0; column < std::min<int64_t>(table.columns(), 4); ++column)
        fuzz::expect_error_or_success([&] { table.number(row, column); });
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace residua;
  const OwnedBytes input = fuzz::heap_copy(data, size);
  parse({reinterpret_cast<const char*>(input.bytes.data()), input.bytes.size()});
  fuzz::expect_error_or_success([&] {
    const std::vector<std::byte> text = gunzip(input.bytes, "input", 1 << 16);
    parse({reinterpret_cast<const char*>(text.data()), text.size()});
  });
  return 0;
}
