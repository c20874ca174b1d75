#include "residua/analysis/slope.h"

#include <cmath>

#include "residua/core/error.h"

namespace residua {

double log_log_slope(const std::vector<double>& x, const std::vector<double>& y) {
  if (x.size() < 2 || x.size() != y.size())
    throw Error(ErrorKind::invalid_argument,
                {.where = "slope", .rule = "needs two points or more"});
  const auto n = static_cast<double>(x.size());
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double u = std::log(x[i]), v = std::log(y[i]);
    sx += u;
    sy += v;
    sxx += u * u;
    sxy += u * v;
  }
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

}  // namespace residua
