#pragma once
// Files that appear complete or not at all: written under a temporary name in the same folder,
// synced, renamed over the target, and the folder synced.
//
//   AtomicFile file("run/last.safetensors");
//   file.write(header);
//   file.write(data);
//   file.commit();   // without it the destructor removes the temporary and the old file stays

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace residua {

// Each failure is ErrorKind::io (not_found for a missing folder) naming the target and the reason,
// e.g. "No space left on device". A failed write, sync or rename leaves the former file untouched;
// when only the last step, syncing the folder, fails, the new file is already complete under its
// name.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

  uint64_t bytes_written() const { return bytes_written_; }
  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void fail(std::string_view operation, int code);
  void discard() noexcept;

  std::string path_;
  std::string folder_;
  std::string temporary_;
  int descriptor_ = -1;
  uint64_t bytes_written_ = 0;
};

void write_file_atomic(const std::string& path, std::span<const std::byte> bytes);
void write_file_atomic(const std::string& path, std::string_view text);

// For tests: called before each operation with its name ("create", "write", "sync", "rename", "sync
// folder") and the target's path. A result other than 0 is the errno with which that operation then
// fails. An empty function removes the hook. One hook for the process; calls to it are serialised.
void set_io_fault(std::function<int(std::string_view operation, std::string_view path)> fault);

}  // namespace residua
