#include "app/run_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "residua/core/error.h"
#include "residua/io/npz.h"
#include "residua/runtime/bench.h"

namespace residua::app {

namespace {

std::string milliseconds(double seconds) { return fmt::format("{:.4g} ms", 1e3 * seconds); }

struct Summary {
  double least = NAN, mean = NAN, greatest = NAN;
  int64_t not_finite = 0;
};

Summary summary_of(const Numbers& numbers) {
  Summary s;
  double sum = 0;
  int64_t count = 0;
  for (const double number : numbers.data) {
    if (!std::isfinite(number)) {
      ++s.not_finite;
      continue;
    }
    s.least = count == 0 ? number : std::min(s.least, number);
    s.greatest = count == 0 ? number : std::max(s.greatest, number);
    sum += number;
    ++count;
  }
  if (count > 0) s.mean = sum / static_cast<double>(count);
  return s;
}

}  // namespace

double run_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string to_text(const RunTimes& times) {
  std::string text = fmt::format("opened in {}, compiled in {}", milliseconds(times.open),
                                 milliseconds(times.compile));
  if (times.runs.empty()) return text;
  text += fmt::format(", first run {}", milliseconds(times.runs[0]));
  const std::vector<double> later(times.runs.begin() + 1, times.runs.end());
  if (!later.empty())
    text += fmt::format("; {} runs after it: P50 {}, P90 {}, P99 {}", later.size(),
                        milliseconds(percentile(later, 0.5)), milliseconds(percentile(later, 0.9)),
                        milliseconds(percentile(later, 0.99)));
  return text + fmt::format("; {:.4g} inputs/s with reading",
                            static_cast<double>(times.items) / times.all);
}

Json to_json(const RunTimes& times) {
  return {{"open", times.open},
          {"compile", times.compile},
          {"runs", times.runs},
          {"all", times.all},
          {"items", times.items}};
}

void OutputFile::add(const std::string& name, const TensorType& type,
                     std::span<const std::byte> bytes, int64_t rows) {
  auto at = std::find_if(outputs_.begin(), outputs_.end(),
                         [&](const Rows& output) { return output.name == name; });
  if (at == outputs_.end()) {
    outputs_.push_back({name, type, {}});
    at = outputs_.end() - 1;
    if (!type.shape.empty()) at->type.shape[0] = 0;
  }
  const bool same =
      type.dtype == at->type.dtype && type.shape.size() == at->type.shape.size() &&
      !type.shape.empty() &&
      std::equal(type.shape.begin() + 1, type.shape.end(), at->type.shape.begin() + 1) &&
      rows <= type.shape[0];
  if (!same && !at->bytes.empty())
    throw Error(ErrorKind::unsupported,
                {.where = fmt::format("output '{}'", name),
                 .rule = "differs in size between the inputs, so that they are no one array",
                 .hint = "write them one input at a time"});
  if (!same) {
    at->type = type;
    at->bytes.assign(bytes.begin(), bytes.end());
    return;
  }
  const size_t row = bytes.size() / static_cast<size_t>(std::max<int64_t>(type.shape[0], 1));
  at->type.shape[0] += rows;
  at->bytes.insert(at->bytes.end(), bytes.begin(),
                   bytes.begin() + static_cast<ptrdiff_t>(row * static_cast<size_t>(rows)));
}

void OutputFile::write(const std::string& path) const {
  std::vector<TensorView> views;
  for (const Rows& output : outputs_)
    views.push_back({output.name, output.type.dtype, output.type.shape, output.bytes});
  write_npz(path, views);
}

Json summary_json(const Numbers& numbers) {
  const Summary s = summary_of(numbers);
  return {{"dtype", to_string(numbers.type.dtype)},
          {"shape", numbers.type.shape},
          {"least", s.least},
          {"mean", s.mean},
          {"greatest", s.greatest},
          {"not_finite", s.not_finite}};
}

RunOptions run_options(const ModelFile& file, const std::vector<std::string>& overrides) {
  Json set = Json::object();
  for (const std::string& word : overrides) merge_key_value(set, word);
  RunSettings all;
  assign(all, set);  // refuses unknown names, with the nearest of both
  Json images = set.contains("images") ? set["images"] : Json::object();
  set.erase("images");
  return {plan_options(file, set), std::move(images)};
}

}  // namespace residua::app
