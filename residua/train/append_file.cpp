#include "residua/train/append_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "residua/core/error.h"
#include "residua/core/log.h"

namespace residua {

AppendFile::AppendFile(std::string path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_io_error(path_, "open", errno);
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    const int code = errno;
    ::close(descriptor_);
    throw_io_error(path_, "read the size of", code);
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

AppendFile::~AppendFile() { ::close(descriptor_); }

void AppendFile::append(std::string_view bytes) {
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const ssize_t done = ::write(descriptor_, rest.data(), rest.size());
    if (done < 0) {
      if (errno == EINTR) continue;
      const int code = errno;
      // Half a record would spoil the next one. Should this fail too, the first failure is the one
      // to tell.
      [[maybe_unused]] const int ignored = ::ftruncate(descriptor_, static_cast<off_t>(size_));
      throw_io_error(path_, "write", code);
    }
    rest.remove_prefix(static_cast<size_t>(done));
  }
  size_ += bytes.size();
}

void AppendFile::sync() {
  if (::fsync(descriptor_) != 0) throw_io_error(path_, "sync", errno);
}

void AppendFile::truncate(uint64_t size) {
  if (size > size_) {
    log_message(LogLevel::warning,
                fmt::format("[{}] is shorter than when the checkpoint was saved: {} of {} bytes",
                            path_, size_, size));
    return;
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0)
    throw_io_error(path_, "truncate", errno);
  size_ = size;
}

}  // namespace residua
