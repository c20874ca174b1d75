#pragma once
// The exponent p of y ~ x^p.

#include <vector>

namespace residua {

// Least squares of log y over log x; all numbers positive, at least two.
double log_log_slope(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace residua
