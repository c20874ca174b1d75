#pragma once
// Which class was taken for which.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace residua {

class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int64_t classes);

  // Both in [0, classes); anything else throws ErrorKind::invalid_argument.
  void add(int64_t label, int64_t predicted);

  int64_t classes() const { return classes_; }
  int64_t count(int64_t label, int64_t predicted) const {
    return counts_[label * classes_ + predicted];
  }
  int64_t total(int64_t label) const;  // samples of a class
  int64_t total() const;
  double accuracy() const;             // in [0, 1]; 0 when empty
  double recall(int64_t label) const;  // of this class's samples, the part found; 0 without samples
  double precision(
      int64_t label) const;  // of those taken for it, the part that was; 0 when none was

  struct Pair {
    int64_t label, predicted, count;
  };
  // The most frequent mistakes, largest first, ties by label; at most `most`.
  std::vector<Pair> most_confused(size_t most) const;

 private:
  int64_t classes_;
  std::vector<int64_t> counts_;  // row: label, column: prediction
};

}  // namespace residua
