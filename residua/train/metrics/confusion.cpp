#include "residua/train/metrics/confusion.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "residua/core/error.h"

namespace residua {

ConfusionMatrix::ConfusionMatrix(int64_t classes)
    : classes_(classes), counts_(static_cast<size_t>(classes * classes)) {}

void ConfusionMatrix::add(int64_t label, int64_t predicted) {
  for (const int64_t c : {label, predicted})
    if (c < 0 || c >= classes_)
      throw Error(ErrorKind::invalid_argument, {.where = "label",
                                                .rule = "is not a class",
                                                .expected = fmt::format("0 to {}", classes_ - 1),
                                                .received = std::to_string(c)});
  ++counts_[label * classes_ + predicted];
}

int64_t ConfusionMatrix::total(int64_t label) const {
  const auto row = counts_.begin() + label * classes_;
  return std::accumulate(row, row + classes_, int64_t{0});
}

int64_t ConfusionMatrix::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), int64_t{0});
}

double ConfusionMatrix::accuracy() const {
  int64_t right = 0;
  for (int64_t c = 0; c < classes_; ++c) right += count(c, c);
  const int64_t all = total();
  return all == 0 ? 0 : static_cast<double>(right) / static_cast<double>(all);
}

double ConfusionMatrix::recall(int64_t label) const {
  const int64_t all = total(label);
  return all == 0 ? 0 : static_cast<double>(count(label, label)) / static_cast<double>(all);
}

double ConfusionMatrix::precision(int64_t label) const {
  int64_t taken = 0;
  for (int64_t c = 0; c < classes_; ++c) taken += count(c, label);
  return taken == 0 ? 0 : static_cast<double>(count(label, label)) / static_cast<double>(taken);
}

std::vector<ConfusionMatrix::Pair> ConfusionMatrix::most_confused(size_t most) const {
  std::vector<Pair> pairs;
  for (int64_t l = 0; l < classes_; ++l)
    for (int64_t p = 0; p < classes_; ++p)
      if (l != p && count(l, p) > 0) pairs.push_back({l, p, count(l, p)});
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.count > b.count; });
  if (pairs.size() > most) pairs.resize(most);
  return pairs;
}

}  // namespace residua
