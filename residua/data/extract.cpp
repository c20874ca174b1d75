#include "residua/data/extract.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include "residua/core/error.h"

namespace residua {

namespace {

namespace fs = std::filesystem;

using ArchiveReader = std::unique_ptr<archive, decltype(&archive_read_free)>;

[[noreturn]] void bad_archive(const std::string& path, std::string rule,
                              std::string received = {}) {
  throw Error(ErrorKind::corrupt_file,
              {.where = path, .rule = std::move(rule), .received = std::move(received)});
}

// A folder that is removed unless it has been emptied into its place.
class StagingFolder {
 public:
  explicit StagingFolder(const fs::path& parent)
      : path_(parent / fmt::format(".unpacking-{}", getpid())) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~StagingFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// The entry's name below the folder; refused where it could lead elsewhere.
fs::path safe_name(archive_entry* entry, const std::string& where) {
  const char* text = archive_entry_pathname(entry);
  if (!text) bad_archive(where, "holds an entry without a readable name");
  const fs::path name(text);
  if (name.empty() || name.is_absolute())
    bad_archive(where, "holds an absolute or empty name", text);
  for (const fs::path& part : name)
    if (part == "..") bad_archive(where, "holds a name that leads out of its folder", text);
  if (archive_entry_hardlink(entry) || archive_entry_symlink(entry))
    bad_archive(where, "holds a link", text);
  return name;
}

void write_all(int descriptor, const char* data, size_t size, const std::string& path) {
  while (size > 0) {
    const ssize_t written = ::write(descriptor, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_io_error(path, "write", errno);
    data += written;
    size -= static_cast<size_t>(written);
  }
}

void write_entry(archive* reader, const fs::path& target, const std::string& where, int64_t& left) {
  fs::create_directories(target.parent_path());
  struct Descriptor {
    int value;
    ~Descriptor() {
      if (value >= 0) ::close(value);
    }
  } file{::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644)};
  if (file.value < 0) throw_io_error(target.string(), "create", errno);
  char buffer[1 << 16];
  while (true) {
    const la_ssize_t got = archive_read_data(reader, buffer, sizeof buffer);
    if (got < 0)
      bad_archive(where, "is damaged",
                  archive_error_string(reader) ? archive_error_string(reader) : "");
    if (got == 0) break;
    if ((left -= got) < 0)
      throw Error(ErrorKind::limit, {.where = where, .rule = "unpacks to more than is allowed"});
    write_all(file.value, buffer, static_cast<size_t>(got), target.string());
  }
  if (::fsync(file.value) != 0) throw_io_error(target.string(), "sync", errno);
}

void unpack(const std::string& path, const fs::path& folder, int64_t limit) {
  const ArchiveReader reader(archive_read_new(), archive_read_free);
  if (!reader) throw std::bad_alloc();
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_format_tar(reader.get());
  constexpr size_t kBlock = 1 << 16;
  if (archive_read_open_filename(reader.get(), path.c_str(), kBlock) != ARCHIVE_OK)
    bad_archive(path, "is not a .tar.gz archive",
                archive_error_string(reader.get()) ? archive_error_string(reader.get()) : "");
  int64_t left = limit;
  archive_entry* entry = nullptr;
  while (true) {
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) return;
    if (result != ARCHIVE_OK)
      bad_archive(path, "is damaged",
                  archive_error_string(reader.get()) ? archive_error_string(reader.get()) : "");
    const fs::path name = safe_name(entry, path);
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFDIR) {
      fs::create_directories(folder / name);
    } else if (type == AE_IFREG) {
      write_entry(reader.get(), folder / name, path, left);
    } else {
      bad_archive(path, "holds something other than files and folders", name.string());
    }
  }
}

// Moves every entry into the folder, in place of one of the same name.
void move_contents(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const fs::path target = to / entry.path().filename();
    fs::remove_all(target);
    fs::rename(entry.path(), target);
  }
}

}  // namespace

void extract_tar_gz(const std::string& archive, const std::string& folder, int64_t limit) {
  try {
    fs::create_directories(folder);
    const StagingFolder staging(folder);
    unpack(archive, staging.path(), limit);
    move_contents(staging.path(), folder);
  } catch (const fs::filesystem_error& error) {
    throw_io_error(error.path1().string(), "unpack to", error.code().value());
  }
}

}  // namespace residua
