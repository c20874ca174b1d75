#pragma once
// A claim is an expression over the metrics of jobs, evaluated for each seed, and a bound. The
// verdict says whether the seeds agree with the bound.
//
//   value = "1 - stochastic.seconds / constant.seconds"      at_least = 0.15
//
// Expressions know + - * / ^, comparisons, ?:, min, max, abs, log (natural), log10, exp, sqrt, and
// slope(x1, y1, x2, y2, ...), the least-squares slope through points.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "residua/recipes/recipe.h"

namespace residua {

// The JOB.METRIC names of an expression, sorted. Throws ErrorKind::invalid_argument at `where` when
// it cannot be read.
std::vector<std::string> claim_variables(const std::string& expression, const std::string& where);

// "constant.test.top1" -> {"constant", "test.top1"}.
std::pair<std::string, std::string> split_variable(const std::string& variable,
                                                   const std::string& where);

double evaluate_claim(const std::string& expression,
                      const std::function<double(const std::string& variable)>& value_of);

enum class Verdict { held, not_held, inconclusive, failed };
template <>
struct EnumNames<Verdict> {
  static constexpr std::array names{"held", "not held", "inconclusive", "failed"};
};
std::string verdict_name(Verdict verdict);
Verdict verdict_of_name(const std::string& name);  // throws ErrorKind::corrupt_file

struct Judgement {
  Verdict verdict = Verdict::failed;
  std::vector<double> values = {};  // one for each seed; may be infinite
  double mean = 0, error = 0;       // standard error of the mean; 0 for one seed
  std::string reason = {};          // why it failed
};

// With m the mean of the values and e its standard error: held when m meets the bounds by more than
// e, not held when it violates one by more than e, else inconclusive. Without spread (one seed, or
// equal values) the value decides, and meeting a bound exactly holds. Infinite values hold or not
// where all seeds agree. A value that is not a number fails the claim.
Judgement judge_claim(const RecipeClaim& claim, std::vector<double> values);

// "0.272 ± 0.004 over 2 seeds, at least 0.15", "0.272 (n=1), at least 0.15"
std::string judgement_text(const RecipeClaim& claim, const Judgement& judgement);

}  // namespace residua
