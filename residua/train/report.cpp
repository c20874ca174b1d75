#include "residua/train/report.h"

#include <algorithm>
#include <string_view>

#include "residua/core/error.h"
#include "residua/core/options.h"
#include "residua/io/atomic_file.h"
#include "residua/train/report_data.h"
#include "residua/train/report_template.h"

namespace residua {

namespace {

// Shares of the 5 MB that one page may weigh.
constexpr size_t kSeriesPoints = 4000;
constexpr size_t kAllPoints = 60'000;
constexpr size_t kMatrixCells = 100'000;
constexpr size_t kPictureBytes = 700'000;  // per list of samples

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
          {"most_confused", report_samples_data(report.most_confused, kPictureBytes)}};
}

// JSON in pure ASCII without '<', so that nothing in it can end the script element or open a
// comment; bytes that are not UTF-8 become U+FFFD.
std::string script_json(const Json& value) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  }
  return safe;
}

std::string html_text(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      default: safe += c;
    }
  }
  return safe;
}

// Appends the page up to `mark` and returns what follows the mark.
std::string_view copy_up_to(std::string& page, std::string_view rest, std::string_view mark) {
  const size_t at = rest.find(mark);
  if (at == std::string_view::npos)
    throw Error(ErrorKind::internal,
                {.where = "report template", .rule = "has no " + std::string(mark)});
  page += rest.substr(0, at);
  return rest.substr(at + mark.size());
}

}  // namespace

std::string render_report(const Report& report) {
  std::string page;
  std::string_view rest = report_template();
  for (int i = 0; i < 2; ++i) {  // the window's title and the heading
    rest = copy_up_to(page, rest, "{{title}}");
    page += html_text(report.title);
  }
  rest = copy_up_to(page, rest, "{{data}}");
  page += script_json(page_data(report));
  page += rest;
  return page;
}

void write_report(const std::string& path, const Report& report) {
  write_file_atomic(path, render_report(report));
}

}  // namespace residua
