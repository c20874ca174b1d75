#pragma once
// A file that grows, and can be cut back to an earlier length when a run is continued from a
// checkpoint.

#include <cstdint>
#include <string>
#include <string_view>

namespace residua {

// Each failure is ErrorKind::io naming the file.
class AppendFile {
 public:
  explicit AppendFile(std::string path);  // created when missing
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // All of `bytes`, or, after a failure, none of them.
  void append(std::string_view bytes);
  void sync();
  // Cuts the file to `size` bytes; a file that is shorter stays as it is, which is reported through
  // the log.
  void truncate(uint64_t size);

  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace residua
