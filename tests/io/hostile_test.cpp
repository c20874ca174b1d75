// Every file of tests/hostile must be refused with the kind of error that its name begins with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <functional>

#include "residua/io/csv.h"
#include "residua/io/image.h"
#include "tests/io/fixtures.h"

namespace residua::testing {
namespace {

void read_all_tensors(const std::string& path) {
  const auto file = open_tensor_file(path);
  for (const TensorInfo& info : file->tensors()) file->read(info.name);
}

ErrorKind kind_in_name(const std::string& name) {
  if (name.starts_with("limit-")) return ErrorKind::limit;
  return name.starts_with("unsupported-") ? ErrorKind::unsupported : ErrorKind::corrupt_file;
}

long peak_megabytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

struct HostileFolder {
  const char* name;
  size_t files;  // at least so many, so that a lost corpus is noticed
  std::function<void(const std::string&)> read;
};

class Hostile : public ::testing::TestWithParam<HostileFolder> {};

INSTANTIATE_TEST_SUITE_P(
    Readers, Hostile,
    ::testing::Values(HostileFolder{"safetensors", 34, read_all_tensors},
                      HostileFolder{"pth", 59, read_all_tensors},
                      HostileFolder{"npz", 30, read_all_tensors},
                      HostileFolder{"image", 24, [](const std::string& path) { read_image(path); }},
                      HostileFolder{
                          "csv", 11,
                          [](const std::string& path) { read_csv(path, {.max_bytes = 1 << 20}); }}),
    [](const auto& info) { return info.param.name; });

TEST_P(Hostile, FilesAreRefused) {
  const auto folder = std::filesystem::path(RESIDUA_SOURCE_DIR) / "tests/hostile" / GetParam().name;
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    ++files;
    SCOPED_TRACE(entry.path().filename().string());
    const long before = peak_megabytes();
    const Error error = error_of([&] { GetParam().read(entry.path().string()); });
    EXPECT_EQ(to_string(error.kind()), to_string(kind_in_name(entry.path().filename().string())))
        << error.what();
    EXPECT_THAT(error.text().where, ::testing::StartsWith(entry.path().string())) << error.what();
    EXPECT_LT(peak_megabytes() - before, 200) << "too much memory was used";
  }
  EXPECT_GE(files, GetParam().files);
}

}  // namespace
}  // namespace residua::testing
