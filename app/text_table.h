#pragma once
// Tables on a terminal: columns as wide as their widest cell.

#include <string>
#include <vector>

namespace residua::app {

class TextTable {
 public:
  // A title that begins with '<' stands at the left with its cells, any other at the right.
  explicit TextTable(std::vector<std::string> titles);
  void add(std::vector<std::string> cells);  // one for each column; made printable
  std::string text(bool colours) const;

 private:
  std::vector<bool> left_;
  std::vector<std::vector<std::string>> rows_;  // the first is the titles
};

// "41.2 ms", "128 us"; "1.62 MB"; "3.41 G".
std::string time_text(double seconds);
std::string bytes_text(double bytes);
std::string count_text(double count);

}  // namespace residua::app
