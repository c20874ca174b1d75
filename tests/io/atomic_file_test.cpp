#include "residua/io/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "residua/io/file.h"
#include "residua/io/safetensors.h"
#include "residua/io/sha256.h"
#include "tests/io/fixtures.h"

namespace residua::testing {
namespace {

std::string text_of(const std::string& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

size_t files_in(const std::filesystem::path& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

// Removes the hook whatever happens.
struct FaultGuard {
  explicit FaultGuard(std::function<int(std::string_view, std::string_view)> fault) {
    set_io_fault(std::move(fault));
  }
  ~FaultGuard() { set_io_fault(nullptr); }
};

TEST(AtomicFile, ReplacesTheOldFileOnlyAtCommit) {
  const TemporaryFolder folder;
  const std::string path = folder.file("x");
  write_file_atomic(path, "old");
  {
    AtomicFile file(path);
    file.write("ne");
    file.write("w");
    EXPECT_EQ(file.bytes_written(), 3u);
    EXPECT_EQ(text_of(path), "old");
    file.commit();
  }
  EXPECT_EQ(text_of(path), "new");
  {
    AtomicFile file(path);
    file.write("lost");
  }
  EXPECT_EQ(text_of(path), "new");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFile, GivesUsualPermissions) {
  const TemporaryFolder folder;
  const mode_t before = ::umask(022);
  write_file_atomic(folder.file("x"), "text");
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::stat(folder.file("x").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
}

TEST(AtomicFile, EveryFailingOperationKeepsTheOldFile) {
  const TemporaryFolder folder;
  const std::string path = folder.file("weights");
  const std::vector<float> old_values = {1}, new_values = {2, 3};
  const auto view = [](const std::vector<float>& values) {
    return std::vector<TensorView>{
        {"w", DType::f32, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))}};
  };
  int operations = 0;
  {
    const FaultGuard guard([&](std::string_view, std::string_view) { return ++operations, 0; });
    write_safetensors(path, view(old_values));
  }
  ASSERT_EQ(operations, 6);  // create, write header, write data, sync, rename, sync folder
  const std::string old_text = text_of(path);
  for (int failing = 1; failing <= operations; ++failing) {
    int count = 0;
    std::string failed;
    Error error = [&] {
      const FaultGuard guard([&](std::string_view operation, std::string_view) {
        if (++count != failing) return 0;
        failed = operation;
        return ENOSPC;
      });
      return error_of([&] { write_safetensors(path, view(new_values)); });
    }();
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_EQ(error.text().where, path);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("No space left on device"));
    EXPECT_EQ(files_in(folder.path()), 1u) << "a temporary file was left";
    if (failed == "sync folder") {
      EXPECT_EQ(open_safetensors(path)->info("w").shape, (Shape{2}));  // complete under its name
    } else {
      EXPECT_EQ(text_of(path), old_text) << failed;
    }
  }
}

TEST(AtomicFile, SaysWhatTheSystemRefused) {
  const TemporaryFolder folder;
  const Error missing = error_of([&] { write_file_atomic(folder.file("none/x"), "text"); });
  EXPECT_EQ(missing.kind(), ErrorKind::not_found);
  const Error directory = error_of([&] { write_file_atomic(folder.path().string(), "text"); });
  EXPECT_EQ(directory.kind(), ErrorKind::io);
  EXPECT_THAT(directory.what(), ::testing::HasSubstr("Is a directory"));
  if (::geteuid() != 0) {  // root may write anywhere
    ::chmod(folder.path().c_str(), 0500);
    EXPECT_THAT(error_of([&] { write_file_atomic(folder.file("x"), "text"); }).what(),
                ::testing::HasSubstr("Permission denied"));
    ::chmod(folder.path().c_str(), 0700);
  }
}

// A real refusal by the kernel, not an injected one: the file-size limit acts like a full disk.
TEST(AtomicFile, AFullDiskLeavesTheOldFile) {
  const TemporaryFolder folder;
  const std::string path = folder.file("x");
  write_file_atomic(path, "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Error error = error_of([&] { write_file_atomic(path, std::string(5000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(error.kind(), ErrorKind::io);
  EXPECT_EQ(text_of(path), "old");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(File, ReadsWithinALimit) {
  const TemporaryFolder folder;
  write_file_atomic(folder.file("x"), std::string(10'000, 'a'));
  EXPECT_EQ(read_file(folder.file("x"), 10'000).size(), 10'000u);
  EXPECT_EQ(error_of([&] { read_file(folder.file("x"), 9'999); }).kind(), ErrorKind::limit);
  EXPECT_EQ(error_of([&] { read_file(folder.file("none")); }).kind(), ErrorKind::not_found);
  EXPECT_EQ(error_of([&] { read_file(folder.path().string()); }).kind(), ErrorKind::io);
  EXPECT_EQ(MappedFile(folder.file("x")).bytes().size(), 10'000u);
  write_file_atomic(folder.file("empty"), "");
  EXPECT_TRUE(MappedFile(folder.file("empty")).bytes().empty());
}

TEST(Sha256, MatchesTheStandard) {  // FIPS 180-2, appendix B
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(std::string_view("abc")))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const TemporaryFolder folder;
  write_file_atomic(folder.file("million"), std::string(1'000'000, 'a'));
  EXPECT_EQ(sha256_file(folder.file("million")),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace residua::testing
