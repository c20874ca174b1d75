#pragma once
// How long the rest of a reproduction will take, from what its jobs took so far.

#include <map>
#include <string>

#include "residua/recipes/reproduce.h"

namespace residua {

// A job that ran before at another seed is expected to take as long again, any other the mean of
// those that ran. Found results take no time and say nothing.
class TimeLeft {
 public:
  // `jobs` counts the runs to come of each "slug/job".
  explicit TimeLeft(std::map<std::string, int64_t> jobs) : left_(std::move(jobs)) {}

  void add(const ReproduceEvent& event);
  // Seconds; negative while nothing is known. `elapsed` of the job at hand, `fraction` of it done.
  double seconds(double elapsed, double fraction) const;

 private:
  struct Taken {
    double sum = 0;
    int64_t count = 0;
    double mean() const { return sum / static_cast<double>(count); }
  };
  std::map<std::string, int64_t> left_;
  std::map<std::string, Taken> taken_;
  Taken all_;
  std::string current_;
};

std::map<std::string, int64_t> runs_to_come(const std::vector<Recipe>& recipes,
                                            const ReproduceOptions& options);

}  // namespace residua
