#include "residua/data/digits.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "residua/data/memory_dataset.h"
#include "residua/io/csv.h"
#include "residua/io/gzip.h"

namespace residua {

// Defined in the source file that the build generates from digits/digits.csv.gz.
extern const unsigned char digits_csv_gz[];
extern const size_t digits_csv_gz_size;

namespace {

constexpr int64_t kSide = 8, kPixels = kSide * kSide, kClasses = 10, kTestEvery = 5;
constexpr int64_t kGreatestValue = 16;

struct DigitsPart {
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
};

void append(DigitsPart& part, const CsvTable& table, int64_t row) {
  for (int64_t i = 0; i < kPixels; ++i) {
    const int64_t value = table.integer(row, i);
    part.pixels.push_back(
        static_cast<uint8_t>((value * 255 + kGreatestValue / 2) / kGreatestValue));
  }
  part.labels.push_back(table.integer(row, kPixels));
}

std::shared_ptr<const Dataset> make_part(DigitsPart part) {
  DatasetInfo info{.name = "digits", .channels = 1, .height = kSide, .width = kSide};
  for (int digit = 0; digit < kClasses; ++digit) info.classes.push_back(std::to_string(digit));
  info.mean = {0.3052};  // of the training part
  info.stddev = {0.3760};
  info.transform = {.crop = CropKind::pad, .size = kSide, .pad = 1};
  const auto records = static_cast<int64_t>(part.labels.size());
  return std::make_shared<MemoryDataset>(
      std::move(info), std::move(part.pixels), std::move(part.labels),
      std::vector<RecordSource>{{"the embedded digits", records}});
}

}  // namespace

DataSplits make_digits() {
  constexpr uint64_t kMaxBytes = 1 << 20;
  const auto text = gunzip(std::as_bytes(std::span(digits_csv_gz, digits_csv_gz_size)),
                           "embedded digits", kMaxBytes);
  const std::string_view view(reinterpret_cast<const char*>(text.data()), text.size());
  const CsvTable table = parse_csv(view, "embedded digits", {.header = false});
  DigitsPart train, test;
  std::array<int64_t, kClasses> seen{};
  for (int64_t row = 0; row < table.rows(); ++row) {
    const int64_t nth = ++seen.at(static_cast<size_t>(table.integer(row, kPixels)));
    append(nth % kTestEvery == 0 ? test : train, table, row);
  }
  return {make_part(std::move(train)), make_part(std::move(test))};
}

}  // namespace residua
