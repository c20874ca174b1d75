#include "residua/train/report.h"

#include <algorithm>
#include <string_view>

#include "residua/core/error.h"
#include "residua/core/options.h"
#include "residua/io/atomic_file.h"
#include "residua/io/page.h"
#include "residua/train/report_data.h"
#include "residua/train/report_template.h"

namespace residua {

namespace {

// Shares of the 5 MB that one page may weigh.
constexpr size_t kSeriesPoints = 4000;
constexpr size_t kAllPoints = 60'000;
constexpr size_t kMatrixCells = 100'000;
constexpr size_t kPictureBytes = 700'000;  // per list of samples
constexpr size_t kTextBytes = 100'000;

void check_object(const Json& value, std::string_view name) {
  if (!value.is_null() && !value.is_object())
    throw Error(ErrorKind::invalid_argument, {.where = "report." + std::string(name),
                                              .rule = "must be an object of names and values",
                                              .received = value.type_name()});
}

// Pairs of dotted key and value, in order: an object would lose the order of keys that look like
// numbers.
void append_pairs(Json& pairs, const Json& object, const std::string& prefix) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object())
      append_pairs(pairs, value, prefix + key + ".");
    else
      pairs.push_back({prefix + key, value});
  }
}

Json pairs_of(const Json& object, std::string_view name) {
  check_object(object, name);
  Json pairs = Json::array();
  append_pairs(pairs, object, {});
  return pairs;
}

Json texts_data(const std::vector<ReportText>& texts) {
  Json list = Json::array();
  for (const ReportText& one : texts)
    list.push_back({{"title", one.title}, {"text", one.text.substr(0, kTextBytes)}});
  return list;
}

Json page_data(const Report& report) {
  if (!report.confusion.empty() && !report.classes.empty() &&
      report.confusion.size() != report.classes.size())
    throw Error(ErrorKind::shape, {.where = "report.confusion",
                                   .rule = "must have one row for each class",
                                   .expected = std::to_string(report.classes.size()) + " rows",
                                   .received = std::to_string(report.confusion.size())});
  check_object(report.configuration, "configuration");
  Json series = Json::array();
  const size_t limit =
      std::min(kSeriesPoints, kAllPoints / std::max<size_t>(1, report.series.size()));
  for (const ReportSeries& one : report.series) series.push_back(report_series_data(one, limit));
  return {{"title", report.title},
          {"subtitle", report.subtitle},
          {"summary", pairs_of(report.summary, "summary")},
          {"environment", pairs_of(report.environment, "environment")},
          {"configuration", report.configuration.empty() ? "" : to_toml(report.configuration)},
          {"classes", report.classes},
          {"series", std::move(series)},
          {"confusion", report_confusion_data(report.confusion, kMatrixCells)},
          {"samples", report_samples_data(report.samples, kPictureBytes)},
          {"most_confused", report_samples_data(report.most_confused, kPictureBytes)},
          {"texts", texts_data(report.texts)}};
}

}  // namespace

std::string render_report(const Report& report) {
  return fill_page(report_template(), report.title, page_data(report));
}

void write_report(const std::string& path, const Report& report) {
  write_file_atomic(path, render_report(report));
}

}  // namespace residua
