#include "residua/recipes/claim.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "residua/core/error.h"

namespace residua {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();

double value(const std::string& expression) {
  return evaluate_claim(expression, [](const std::string& name) {
    if (name == "a.test.top1") return 3.0;
    if (name == "b_2.seconds") return 4.0;
    throw Error(ErrorKind::not_found, {.where = name, .rule = "is not there"});
  });
}

RecipeClaim at_least(double bound) { return {.at_least = bound}; }

Verdict verdict(const RecipeClaim& claim, std::vector<double> values) {
  return judge_claim(claim, std::move(values)).verdict;
}

TEST(ClaimExpression, computes_over_metrics_of_jobs) {
  EXPECT_DOUBLE_EQ(value("1 - a.test.top1 / b_2.seconds"), 0.25);
  EXPECT_DOUBLE_EQ(value("2 ^ a.test.top1 * 1e-1 + .5"), 1.3);
  EXPECT_DOUBLE_EQ(value("min(a.test.top1, b_2.seconds) + max(1, 2, 7)"), 10);
  EXPECT_DOUBLE_EQ(value("abs(-2) + sqrt(9) + exp(0) + log10(1000)"), 9);
  EXPECT_DOUBLE_EQ(value("log(exp(2))"), 2);
  EXPECT_DOUBLE_EQ(value("a.test.top1 < b_2.seconds ? 1 : 0"), 1);
}

TEST(ClaimExpression, slope_is_that_of_least_squares) {
  EXPECT_DOUBLE_EQ(value("slope(0, 1, 1, 3, 2, 5)"), 2);
  EXPECT_DOUBLE_EQ(value("slope(0, 0, 1, 1, 2, 0)"), 0);
  EXPECT_NEAR(value("slope(log(50), log(7 * 50 ^ 0.5), log(200), log(7 * 200 ^ 0.5))"), 0.5, 1e-12);
  EXPECT_THROW(value("slope(1, 2)"), Error);
}

TEST(ClaimExpression, lists_what_it_speaks_of) {
  EXPECT_THAT(claim_variables("b.y / a.x - a.x + log(c.test.top1)", "v"),
              ElementsAre("a.x", "b.y", "c.test.top1"));
}

TEST(ClaimExpression, says_what_cannot_be_read) {
  for (const char* bad : {"", "a.x +", "(a.x", "sin(a.x)", "a.x b.y", "a.x = 1", "1 / 'a'"}) {
    try {
      claim_variables(bad, "claim.c.value");
      ADD_FAILURE() << bad << " was read";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::invalid_argument);
      EXPECT_EQ(e.text().where, "claim.c.value");
    }
  }
  EXPECT_THROW(split_variable("seconds", "v"), Error);
  EXPECT_THROW(split_variable("a.", "v"), Error);
}

TEST(Verdict, one_seed_decides_by_its_value) {
  EXPECT_EQ(verdict(at_least(0.15), {0.15}), Verdict::held);
  EXPECT_EQ(verdict(at_least(0.15), {0.1499}), Verdict::not_held);
  EXPECT_THAT(judgement_text(at_least(0.15), judge_claim(at_least(0.15), {0.2})),
              HasSubstr("(n=1)"));
}

// Values 1 ± d around the mean 1: the sample deviation is d sqrt(2), the standard error d.
TEST(Verdict, spread_must_leave_the_bound_outside) {
  const std::vector<double> values{0.9, 1.1};
  const Judgement j = judge_claim(at_least(0.5), values);
  EXPECT_DOUBLE_EQ(j.mean, 1);
  EXPECT_NEAR(j.error, 0.1, 1e-15);
  EXPECT_EQ(verdict(at_least(0.899), values), Verdict::held);
  EXPECT_EQ(verdict(at_least(0.901), values), Verdict::inconclusive);
  EXPECT_EQ(verdict(at_least(1.099), values), Verdict::inconclusive);
  EXPECT_EQ(verdict(at_least(1.101), values), Verdict::not_held);
  EXPECT_EQ(verdict({.at_most = 1.101}, values), Verdict::held);
  EXPECT_EQ(verdict({.at_most = 0.899}, values), Verdict::not_held);
  EXPECT_EQ(verdict({.at_least = 0.5, .at_most = 1.05}, values), Verdict::inconclusive);
  EXPECT_EQ(verdict({.at_least = 0.5, .at_most = 1.5}, values), Verdict::held);
}

TEST(Verdict, equal_values_have_no_spread) {
  EXPECT_EQ(verdict(at_least(0.1), {0.1, 0.1, 0.1}), Verdict::held);
  EXPECT_EQ(verdict({.at_most = 0.1}, {0.1, 0.1, 0.1}), Verdict::held);
}

TEST(Verdict, infinite_values_must_agree) {
  EXPECT_EQ(verdict(at_least(1), {kInf, kInf}), Verdict::held);
  EXPECT_EQ(verdict(at_least(1), {kInf, 2}), Verdict::held);
  EXPECT_EQ(verdict(at_least(1), {-kInf, kInf}), Verdict::inconclusive);
  EXPECT_EQ(verdict({.at_most = 1}, {kInf, kInf}), Verdict::not_held);
}

TEST(Verdict, what_is_not_a_number_fails) {
  const Judgement j = judge_claim(at_least(1), {2, std::nan("")});
  EXPECT_EQ(j.verdict, Verdict::failed);
  EXPECT_THAT(j.reason, HasSubstr("seed 1"));
  EXPECT_EQ(verdict(at_least(1), {}), Verdict::failed);
}

}  // namespace
}  // namespace residua
