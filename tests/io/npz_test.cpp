#include "residua/io/npz.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/io/fixtures.h"

namespace residua::testing {
namespace {

void expect_fixture_arrays(const std::string& name) {
  const auto file = open_tensor_file(fixture(name));
  EXPECT_EQ(file->format(), "npz");
  EXPECT_EQ(file->tensors().size(), 11u);
  expect_ruled(*file, "f32", DType::f32, {2, 3});
  expect_ruled(*file, "fortran", DType::f32, {3, 4});
  expect_ruled(*file, "big_endian", DType::i32, {5});
  expect_ruled(*file, "scalar", DType::i64, {});
  expect_ruled(*file, "empty", DType::f32, {0, 3});
  expect_ruled(*file, "half", DType::f16, {4});
  expect_ruled(*file, "bool", DType::boolean, {4});
  expect_ruled(*file, "c64", DType::c64, {4});
  expect_ruled(*file, "big_c128", DType::c128, {4});
  expect_ruled(*file, "u16", DType::u16, {5});
  expect_ruled(*file, "u64", DType::u64, {5});
}

TEST(Npz, ReadsStoredArrays) { expect_fixture_arrays("stored.npz"); }
TEST(Npz, ReadsDeflatedArrays) { expect_fixture_arrays("deflated.npz"); }

TEST(Npy, ReadsEveryVersion) {
  for (const char* name : {"array.npy", "version2.npy", "version3.npy"}) {
    const auto file = open_tensor_file(fixture(name));
    EXPECT_EQ(file->format(), "npy");
    expect_ruled(*file, "array", DType::f32, {2, 3});
  }
}

TEST(Npy, WritesNumpysBytes) {
  const auto file = open_npy(fixture("array.npy"));
  const TensorData array = file->read("array");
  const TemporaryFolder folder;
  write_npy(folder.file("x.npy"), {"", array.info.dtype, array.info.shape, array.bytes});
  EXPECT_EQ(read_file(folder.file("x.npy")), read_file(fixture("array.npy")));
}

TEST(Npz, WritesWhatItReads) {
  const auto file = open_npz(fixture("deflated.npz"));
  std::vector<TensorData> held;
  std::vector<TensorView> views;
  for (const TensorInfo& info : file->tensors()) held.push_back(file->read(info.name));
  for (const TensorData& tensor : held)
    views.push_back({tensor.info.name, tensor.info.dtype, tensor.info.shape, tensor.bytes});
  const TemporaryFolder folder;
  write_npz(folder.file("x.npz"), views);
  const auto copy = open_tensor_file(folder.file("x.npz"));
  ASSERT_EQ(copy->tensors().size(), views.size());
  for (const TensorView& view : views) {
    const TensorData data = copy->read(view.name);
    EXPECT_EQ(data.info.shape, view.shape);
    EXPECT_TRUE(
        std::equal(data.bytes.begin(), data.bytes.end(), view.bytes.begin(), view.bytes.end()));
  }
}

// An independent reader of the format, where the machine has one.
TEST(Npz, NumpyReadsWhatIsWritten) {
  if (std::system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0)
    GTEST_SKIP() << "NumPy is not installed";
  const TemporaryFolder folder;
  const std::vector<float> values = {-2, -1, 0, 1, 2, 3};
  const std::vector<TensorView> views = {
      {"a.weight", DType::f32, {2, 3}, std::as_bytes(std::span(values))},
      {"b", DType::f32, {6}, std::as_bytes(std::span(values))}};
  write_npz(folder.file("x.npz"), views);
  const std::string program =
      "import numpy, sys, zipfile; f = numpy.load(sys.argv[1]); "
      "assert f['a.weight'].tolist() == [[-2, -1, 0], [1, 2, 3]]; assert f['b'].shape == (6,); "
      "assert zipfile.ZipFile(sys.argv[1]).testzip() is None";
  EXPECT_EQ(
      std::system(("/usr/bin/python3 -c \"" + program + "\" " + folder.file("x.npz")).c_str()), 0);
}

TEST(Npz, RefusesToWriteWhatNumpyLacks) {
  const TemporaryFolder folder;
  const std::vector<uint16_t> values(4);
  const auto bytes = std::as_bytes(std::span(values));
  const std::vector<TensorView> brain = {{"a", DType::bf16, {4}, bytes}};
  const std::vector<TensorView> twice = {{"a", DType::u16, {4}, bytes},
                                         {"a", DType::u16, {4}, bytes}};
  const std::vector<TensorView> misfit = {{"a", DType::u16, {5}, bytes}};
  EXPECT_EQ(error_of([&] { write_npz(folder.file("x"), brain); }).kind(), ErrorKind::unsupported);
  EXPECT_EQ(error_of([&] { write_npz(folder.file("x"), twice); }).kind(),
            ErrorKind::invalid_argument);
  EXPECT_EQ(error_of([&] { write_npz(folder.file("x"), misfit); }).kind(), ErrorKind::shape);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace residua::testing
