#include "residua/io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <mutex>

#include "residua/core/error.h"
#include "residua/io/descriptor.h"

namespace residua {

namespace {

struct FaultHook {
  std::mutex mutex;
  std::function<int(std::string_view, std::string_view)> function;
  std::atomic<bool> active{false};
};

FaultHook& fault_hook() {
  static FaultHook hook;
  return hook;
}

// 0, or the errno that a test wants this operation to fail with.
int injected_fault(std::string_view operation, std::string_view path) {
  FaultHook& hook = fault_hook();
  if (!hook.active.load(std::memory_order_acquire)) return 0;
  const std::lock_guard lock(hook.mutex);
  return hook.function ? hook.function(operation, path) : 0;
}

std::string folder_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// Short, hidden and unique among live processes; a leftover of a killed one makes O_EXCL try the
// next number.
std::string temporary_name(const std::string& folder) {
  static std::atomic<uint64_t> counter{0};
  return folder + "/.residua-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) +
         ".tmp";
}

int sync_folder(const std::string& folder) {
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return errno;
  // Some file systems cannot sync a folder and say EINVAL; the rename is then as durable as they
  // make it.
  if (::fsync(directory.get()) != 0 && errno != EINVAL) return errno;
  return 0;
}

}  // namespace

void set_io_fault(std::function<int(std::string_view, std::string_view)> fault) {
  FaultHook& hook = fault_hook();
  const std::lock_guard lock(hook.mutex);
  hook.function = std::move(fault);
  hook.active.store(hook.function != nullptr, std::memory_order_release);
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), folder_(folder_of(path_)) {
  if (path_.empty() || std::filesystem::path(path_).filename().empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = path_, .rule = "a file name is needed to write to"});
  std::error_code ignored;
  if (std::filesystem::is_directory(path_, ignored)) throw_io_error(path_, "write", EISDIR);
  if (const int code = injected_fault("create", path_)) throw_io_error(path_, "create", code);
  do {
    temporary_ = temporary_name(folder_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) throw_io_error(path_, "create", errno);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::fail(std::string_view operation, int code) {
  discard();
  throw_io_error(path_, operation, code);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0)
    throw Error(ErrorKind::internal, {.where = path_, .rule = "written to after its end"});
  if (bytes.empty()) return;
  if (const int code = injected_fault("write", path_)) fail("write", code);
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor_, bytes.data(), bytes.size());
    if (done < 0) {
      if (errno == EINTR) continue;
      fail("write", errno);
    }
    bytes_written_ += static_cast<uint64_t>(done);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::commit() {
  if (descriptor_ < 0)
    throw Error(ErrorKind::internal, {.where = path_, .rule = "committed after its end"});
  if (const int code = injected_fault("sync", path_)) fail("sync", code);
  if (::fsync(descriptor_) != 0) fail("sync", errno);
  // Network file systems report a full disk only here.
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("close", errno);
  if (const int code = injected_fault("rename", path_)) fail("rename", code);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename", errno);
  temporary_.clear();
  int code = injected_fault("sync folder", path_);
  if (code == 0) code = sync_folder(folder_);
  if (code != 0) throw_io_error(path_, "sync the folder of", code);
}

void write_file_atomic(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomic(const std::string& path, std::string_view text) {
  write_file_atomic(path, std::as_bytes(std::span(text)));
}

}  // namespace residua
