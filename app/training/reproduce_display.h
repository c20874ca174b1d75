#pragma once
// What a person sees of a reproduction while it runs, on standard error: a line that is redrawn on
// a terminal, one line for each job elsewhere.
//
//   [3/12] laurel identity, seed 0:  41%  left 0:12, of all 4:10

#include <map>
#include <string>

#include "residua/recipes/time_left.h"

namespace residua::app {

class ReproduceDisplay {
 public:
  ReproduceDisplay(std::map<std::string, int64_t> jobs, bool terminal)
      : left_(std::move(jobs)), terminal_(terminal) {}
  void show(const ReproduceEvent& event);

 private:
  void redraw(const ReproduceEvent& event);
  void print(const std::string& line);

  TimeLeft left_;
  bool terminal_, line_open_ = false;
  double began_ = 0, shown_ = 0;
};

}  // namespace residua::app
