#pragma once
// A line on stderr that says how far something is and how long the rest will take: redrawn on a
// terminal, elsewhere a new line every ten seconds. What takes less than a second shows nothing.

#include <cstdint>
#include <string>

namespace residua::app {

class ProgressLine {
 public:
  // `unit` is what is counted, "img".
  ProgressLine(int64_t total, std::string unit);
  ~ProgressLine();  // erases the line
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(int64_t done);

 private:
  int64_t total_;
  std::string unit_;
  bool terminal_, open_ = false;
  double begin_, shown_;
};

}  // namespace residua::app
