#include "residua/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>

#include "residua/core/error.h"
#include "residua/io/descriptor.h"

namespace residua {

Descriptor open_for_reading(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) throw_io_error(path, "open", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_io_error(path, "inspect", errno);
  if (S_ISDIR(status.st_mode)) throw_io_error(path, "read", EISDIR);
  return file;
}

size_t read_some(const Descriptor& file, const std::string& path, std::span<std::byte> into) {
  for (;;) {
    const ssize_t got = ::read(file.get(), into.data(), into.size());
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) throw_io_error(path, "read", errno);
  }
}

namespace {

// The mappings of all files that are open, by their first byte: other memory must not be released,
// because its content would be lost.
struct Mappings {
  std::mutex mutex;
  std::map<const std::byte*, size_t> sizes;

  static Mappings& all() {
    static auto* const mappings = new Mappings;  // files may be closed after static objects end
    return *mappings;
  }
};

}  // namespace

void release_pages(std::span<const std::byte> bytes) {
  Mappings& all = Mappings::all();
  const std::lock_guard lock(all.mutex);
  auto after = all.sizes.upper_bound(bytes.data());
  if (bytes.empty() || after == all.sizes.begin()) return;
  const auto& [first, size] = *--after;
  if (bytes.data() + bytes.size() > first + size) return;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const auto offset = static_cast<size_t>(bytes.data() - first);  // mappings begin with a page
  const size_t begin = (offset + page - 1) / page * page,
               end = (offset + bytes.size()) / page * page;
  if (begin < end) ::madvise(const_cast<std::byte*>(first) + begin, end - begin, MADV_DONTNEED);
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file = open_for_reading(path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_io_error(path, "inspect", errno);
  if (!S_ISREG(status.st_mode)) throw_io_error(path, "map", ENODEV);
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return;  // mmap refuses a length of zero
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) throw_io_error(path, "map", errno);
  bytes_ = {static_cast<const std::byte*>(address), size};
  const std::lock_guard lock(Mappings::all().mutex);
  Mappings::all().sizes[bytes_.data()] = size;
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  {
    const std::lock_guard lock(Mappings::all().mutex);
    Mappings::all().sizes.erase(bytes_.data());
  }
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

OwnedBytes map_file(const std::string& path) {
  auto file = std::make_shared<const MappedFile>(path);
  const std::span<const std::byte> bytes = file->bytes();
  return {std::move(file), bytes};
}

OwnedBytes own_bytes(std::vector<std::byte> bytes) {
  auto buffer = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  const std::span<const std::byte> view(*buffer);
  return {std::move(buffer), view};
}

std::vector<std::byte> read_file(const std::string& path, uint64_t limit) {
  const Descriptor file = open_for_reading(path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_io_error(path, "inspect", errno);
  const auto expected = S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : 0;
  const auto check = [&](uint64_t size) {
    if (size > limit)
      throw Error(ErrorKind::limit,
                  {.where = path,
                   .rule = "is larger than the " + std::to_string(limit) + " bytes allowed"});
  };
  check(expected);
  // One byte more than expected: the read that finds the end needs room.
  std::vector<std::byte> content(static_cast<size_t>(expected) + 1);
  size_t size = 0;
  for (;;) {
    if (size == content.size()) content.resize(std::max<size_t>(size * 2, 4096));
    const size_t got = read_some(file, path, std::span(content).subspan(size));
    if (got == 0) break;
    size += got;
    check(size);
  }
  content.resize(size);
  return content;
}

}  // namespace residua
