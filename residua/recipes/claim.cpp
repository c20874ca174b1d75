#include "residua/recipes/claim.h"

#include <fmt/format.h>
#include <muParser.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <regex>

#include "residua/core/error.h"

namespace residua {

namespace {

double slope_of_points(const double* numbers, int count) {
  if (count < 4 || count % 2 != 0)
    throw mu::ParserError("slope takes two points at least, as x1, y1, x2, y2");
  const int points = count / 2;
  double mean_x = 0, mean_y = 0, xx = 0, xy = 0;
  for (int i = 0; i < points; ++i) {
    mean_x += numbers[2 * i] / points;
    mean_y += numbers[2 * i + 1] / points;
  }
  for (int i = 0; i < points; ++i) {
    const double dx = numbers[2 * i] - mean_x;
    xx += dx * dx;
    xy += dx * (numbers[2 * i + 1] - mean_y);
  }
  return xy / xx;
}

mu::Parser claim_parser(const std::string& expression) {
  static const std::regex kAssignment("(^|[^<>=!])=($|[^=])");
  if (std::regex_search(expression, kAssignment))
    throw mu::ParserError("nothing can be assigned; == compares");
  mu::Parser parser;
  parser.ClearFun();
  parser.DefineNameChars("0123456789_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
  parser.DefineFun(
      "abs", +[](double x) { return std::abs(x); });
  parser.DefineFun(
      "log", +[](double x) { return std::log(x); });
  parser.DefineFun(
      "log10", +[](double x) { return std::log10(x); });
  parser.DefineFun(
      "exp", +[](double x) { return std::exp(x); });
  parser.DefineFun(
      "sqrt", +[](double x) { return std::sqrt(x); });
  parser.DefineFun(
      "min", +[](const double* v, int n) { return *std::min_element(v, v + n); });
  parser.DefineFun(
      "max", +[](const double* v, int n) { return *std::max_element(v, v + n); });
  parser.DefineFun("slope", slope_of_points);
  parser.SetExpr(expression);
  return parser;
}

[[noreturn]] void bad_expression(const std::string& where, const std::string& expression,
                                 const mu::ParserError& e) {
  throw Error(ErrorKind::invalid_argument,
              {.where = where,
               .rule = "is not an expression over JOB.METRIC: " + e.GetMsg(),
               .received = expression});
}

// By how much the value meets the claim's bounds; negative when it violates one.
double margin_of(const RecipeClaim& claim, double value) {
  double margin = std::numeric_limits<double>::infinity();
  if (claim.at_least) margin = std::min(margin, value - *claim.at_least);
  if (claim.at_most) margin = std::min(margin, *claim.at_most - value);
  return margin;
}

Verdict verdict_of(const RecipeClaim& claim, const Judgement& j) {
  const bool finite =
      std::all_of(j.values.begin(), j.values.end(), [](double v) { return std::isfinite(v); });
  if (!finite) {
    const auto met = std::count_if(j.values.begin(), j.values.end(),
                                   [&](double v) { return margin_of(claim, v) >= 0; });
    if (met == 0) return Verdict::not_held;
    return met == static_cast<int64_t>(j.values.size()) ? Verdict::held : Verdict::inconclusive;
  }
  const double margin = margin_of(claim, j.mean);
  if (j.error == 0) return margin >= 0 ? Verdict::held : Verdict::not_held;
  if (margin > j.error) return Verdict::held;
  return margin < -j.error ? Verdict::not_held : Verdict::inconclusive;
}

}  // namespace

std::vector<std::string> claim_variables(const std::string& expression, const std::string& where) {
  try {
    std::vector<std::string> names;
    mu::Parser parser = claim_parser(expression);
    for (const auto& [name, address] : parser.GetUsedVar()) names.push_back(name);
    return names;
  } catch (const mu::ParserError& e) {
    bad_expression(where, expression, e);
  }
}

std::pair<std::string, std::string> split_variable(const std::string& variable,
                                                   const std::string& where) {
  const size_t dot = variable.find('.');
  if (dot == std::string::npos || dot == 0 || dot + 1 == variable.size())
    throw Error(ErrorKind::invalid_argument, {.where = where,
                                              .rule = "names a metric without its job",
                                              .expected = "JOB.METRIC",
                                              .received = variable});
  return {variable.substr(0, dot), variable.substr(dot + 1)};
}

double evaluate_claim(const std::string& expression,
                      const std::function<double(const std::string& variable)>& value_of) {
  try {
    mu::Parser parser = claim_parser(expression);
    std::deque<double> values;  // the parser keeps their addresses
    for (const auto& [name, address] : mu::varmap_type(parser.GetUsedVar()))
      parser.DefineVar(name, &values.emplace_back(value_of(name)));
    return parser.Eval();
  } catch (const mu::ParserError& e) {
    bad_expression("claim", expression, e);
  }
}

std::string verdict_name(Verdict verdict) {
  return EnumNames<Verdict>::names[static_cast<size_t>(verdict)];
}

Verdict verdict_of_name(const std::string& name) {
  const auto& names = EnumNames<Verdict>::names;
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw Error(ErrorKind::corrupt_file,
                {.where = "verdict", .rule = "is none that there is", .received = name});
  return static_cast<Verdict>(found - names.begin());
}

Judgement judge_claim(const RecipeClaim& claim, std::vector<double> values) {
  Judgement j{.values = std::move(values)};
  const auto count = static_cast<double>(j.values.size());
  for (size_t seed = 0; seed < j.values.size(); ++seed) {
    j.mean += j.values[seed] / count;
    if (!std::isnan(j.values[seed])) continue;
    j.reason = fmt::format("its value is not a number at seed {}", seed);
    return j;
  }
  if (j.values.empty()) {
    j.reason = "there is no value";
    return j;
  }
  double squares = 0;
  for (const double v : j.values) squares += (v - j.mean) * (v - j.mean);
  const bool spread = count > 1 && std::isfinite(squares);
  j.error = spread ? std::sqrt(squares / (count - 1) / count) : 0;
  // Equal values may differ from their rounded mean in the last bit.
  if (std::equal(j.values.begin() + 1, j.values.end(), j.values.begin())) {
    j.mean = j.values.front();
    j.error = 0;
  }
  j.verdict = verdict_of(claim, j);
  return j;
}

std::string judgement_text(const RecipeClaim& claim, const Judgement& j) {
  std::string text;
  if (j.verdict == Verdict::failed)
    text = j.reason;
  else if (j.values.size() == 1)
    text = fmt::format("{:.4g} (n=1)", j.mean);
  else
    text = fmt::format("{:.4g} ± {:.2g} over {} seeds", j.mean, j.error, j.values.size());
  if (claim.at_least) text += fmt::format(", at least {:g}", *claim.at_least);
  if (claim.at_most) text += fmt::format(", at most {:g}", *claim.at_most);
  return text;
}

}  // namespace residua
