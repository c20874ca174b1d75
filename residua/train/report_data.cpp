#include "residua/train/report_data.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <string>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr int64_t kThumbnailSide = 112;
constexpr size_t kWorstConfusions = 20;

// The shortest JSON that keeps `digits` significant digits; null for what is not finite.
Json short_number(double value, int digits) {
  if (!std::isfinite(value)) return nullptr;
  if (value == std::trunc(value) && std::abs(value) < 9e15) return static_cast<int64_t>(value);
  std::array<char, 40> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                 std::chars_format::general, digits);
  double rounded = value;
  std::from_chars(text.data(), end.ptr, rounded);
  return rounded;
}

// Indices of the points with a finite x, in the order of x.
std::vector<size_t> order_by_x(const std::vector<double>& x) {
  std::vector<size_t> order;
  for (size_t i = 0; i < x.size(); ++i)
    if (std::isfinite(x[i])) order.push_back(i);
  const auto before = [&](size_t a, size_t b) { return x[a] < x[b]; };
  if (!std::is_sorted(order.begin(), order.end(), before))
    std::stable_sort(order.begin(), order.end(), before);
  return order;
}

// Of each of `intervals` runs of points: the least, the greatest and the first missing value.
std::vector<size_t> thin(const std::vector<size_t>& order, const std::vector<double>& y,
                         size_t intervals) {
  std::vector<size_t> kept{0, order.size() - 1};
  for (size_t k = 0; k < intervals; ++k) {
    const size_t begin = order.size() * k / intervals, end = order.size() * (k + 1) / intervals;
    size_t least = end, greatest = end, missing = end;
    for (size_t i = begin; i < end; ++i) {
      const double value = y[order[i]];
      if (!std::isfinite(value)) {
        if (missing == end) missing = i;
        continue;
      }
      if (least == end || value < y[order[least]]) least = i;
      if (greatest == end || value > y[order[greatest]]) greatest = i;
    }
    for (const size_t i : {least, greatest, missing})
      if (i != end) kept.push_back(i);
  }
  std::sort(kept.begin(), kept.end());
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  for (size_t& i : kept) i = order[i];
  return kept;
}

// Filled cells as row, column, count, ...; each cell sums block x block classes.
std::vector<int64_t> filled_cells(const std::vector<std::vector<int64_t>>& confusion,
                                  size_t block) {
  const size_t side = (confusion.size() + block - 1) / block;
  std::vector<int64_t> cells, row(side);
  for (size_t r = 0; r < side; ++r) {
    std::fill(row.begin(), row.end(), 0);
    for (size_t i = r * block; i < std::min(confusion.size(), (r + 1) * block); ++i)
      for (size_t j = 0; j < confusion.size(); ++j) row[j / block] += confusion[i][j];
    for (size_t c = 0; c < side; ++c)
      if (row[c] != 0)
        cells.insert(cells.end(), {static_cast<int64_t>(r), static_cast<int64_t>(c), row[c]});
  }
  return cells;
}

Json worst_confusions(const std::vector<std::vector<int64_t>>& confusion) {
  std::vector<std::array<int64_t, 3>> pairs;  // true, predicted, count
  const auto before = [](const auto& a, const auto& b) { return a[2] > b[2]; };
  for (size_t i = 0; i < confusion.size(); ++i) {
    for (size_t j = 0; j < confusion.size(); ++j)
      if (i != j && confusion[i][j] > 0)
        pairs.push_back({static_cast<int64_t>(i), static_cast<int64_t>(j), confusion[i][j]});
    std::stable_sort(pairs.begin(), pairs.end(), before);
    pairs.resize(std::min(pairs.size(), kWorstConfusions));
  }
  return pairs;
}

// The image, each side at most kThumbnailSide, by the mean of the pixels that fall together.
Image thumbnail(const Image& image) {
  const int64_t longest = std::max(image.height, image.width);
  if (longest <= kThumbnailSide) return image;
  const auto scaled = [&](int64_t side) {
    return std::max<int64_t>(1, (side * kThumbnailSide + longest / 2) / longest);
  };
  Image small{
      .height = scaled(image.height), .width = scaled(image.width), .channels = image.channels};
  small.pixels.reserve(small.height * small.width * small.channels);
  for (int64_t y = 0; y < small.height; ++y) {
    const int64_t top = y * image.height / small.height;
    const int64_t bottom = std::max(top + 1, (y + 1) * image.height / small.height);
    for (int64_t x = 0; x < small.width; ++x) {
      const int64_t left = x * image.width / small.width;
      const int64_t right = std::max(left + 1, (x + 1) * image.width / small.width);
      const int64_t area = (bottom - top) * (right - left);
      for (int64_t c = 0; c < image.channels; ++c) {
        int64_t sum = 0;
        for (int64_t i = top; i < bottom; ++i)
          for (int64_t j = left; j < right; ++j)
            sum += image.pixels[(i * image.width + j) * image.channels + c];
        small.pixels.push_back(static_cast<uint8_t>((sum + area / 2) / area));
      }
    }
  }
  return small;
}

std::string png_data_url(const Image& image) {
  const std::vector<std::byte> png = encode_png(image);
  std::string text((png.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends with a zero
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(png.data()),
                                     static_cast<int>(png.size()));
  text.resize(length);
  return "data:image/png;base64," + text;
}

void check_confusion(const std::vector<std::vector<int64_t>>& confusion) {
  for (size_t i = 0; i < confusion.size(); ++i) {
    const std::string where = "report.confusion[" + std::to_string(i) + "]";
    if (confusion[i].size() != confusion.size())
      throw Error(ErrorKind::shape, {.where = where,
                                     .rule = "the confusion matrix must be square",
                                     .expected = std::to_string(confusion.size()) + " columns",
                                     .received = std::to_string(confusion[i].size())});
    for (const int64_t count : confusion[i])
      if (count < 0)
        throw Error(ErrorKind::invalid_argument, {.where = where,
                                                  .rule = "counts must not be negative",
                                                  .received = std::to_string(count)});
  }
}

void check_image(const Image& image) {
  const auto size = static_cast<size_t>(image.height * image.width * image.channels);
  if (image.height > 0 && image.width > 0 && image.channels > 0 && image.pixels.size() == size)
    return;
  throw Error(
      ErrorKind::shape,
      {.where = "report sample",
       .rule = "an image must hold height x width x channels bytes",
       .expected = std::to_string(size) + " bytes for " + std::to_string(image.height) + " x " +
                   std::to_string(image.width) + " x " + std::to_string(image.channels),
       .received = std::to_string(image.pixels.size())});
}

}  // namespace

Json report_series_data(const ReportSeries& series, size_t limit) {
  if (series.x.size() != series.y.size())
    throw Error(ErrorKind::shape, {.where = "report.series: " + series.name,
                                   .rule = "x and y must have the same length",
                                   .expected = std::to_string(series.x.size()) + " values of y",
                                   .received = std::to_string(series.y.size())});
  std::vector<size_t> kept = order_by_x(series.x);
  const size_t points = kept.size();
  const auto gaps = std::count_if(kept.begin(), kept.end(),
                                  [&](size_t i) { return !std::isfinite(series.y[i]); });
  if (points > limit) kept = thin(kept, series.y, std::max<size_t>(1, limit / 2));
  Json x = Json::array(), y = Json::array();
  for (const size_t i : kept) {
    x.push_back(short_number(series.x[i], 12));
    y.push_back(short_number(series.y[i], 6));
  }
  return {{"name", series.name}, {"x_label", series.x_label}, {"points", points},
          {"gaps", gaps},        {"x", std::move(x)},         {"y", std::move(y)}};
}

Json report_confusion_data(const std::vector<std::vector<int64_t>>& confusion, size_t max_cells) {
  check_confusion(confusion);
  size_t block = 1;
  std::vector<int64_t> cells = filled_cells(confusion, block);
  while (cells.size() > 3 * max_cells && block < confusion.size())
    cells = filled_cells(confusion, ++block);
  std::vector<int64_t> rows, columns(confusion.size()), correct;
  for (size_t i = 0; i < confusion.size(); ++i) {
    rows.push_back(std::accumulate(confusion[i].begin(), confusion[i].end(), int64_t{0}));
    correct.push_back(confusion[i][i]);
    for (size_t j = 0; j < confusion.size(); ++j) columns[j] += confusion[i][j];
  }
  return {{"size", confusion.size()},
          {"block", block},
          {"cells", cells},
          {"rows", rows},
          {"columns", columns},
          {"correct", correct},
          {"worst", worst_confusions(confusion)}};
}

Json report_samples_data(const std::vector<ReportSample>& samples, size_t max_bytes) {
  Json shown = Json::array();
  size_t bytes = 0;
  for (const ReportSample& sample : samples) {
    check_image(sample.image);
    std::string url = png_data_url(thumbnail(sample.image));
    bytes += url.size();
    if (bytes > max_bytes) break;
    Json top = Json::array();
    for (const auto& [index, probability] : sample.top)
      top.push_back({index, short_number(probability, 6)});
    shown.push_back({{"image", std::move(url)},
                     {"width", sample.image.width},
                     {"height", sample.image.height},
                     {"label", sample.label},
                     {"predicted", sample.predicted},
                     {"top", std::move(top)}});
  }
  return {{"total", samples.size()}, {"shown", std::move(shown)}};
}

}  // namespace residua
