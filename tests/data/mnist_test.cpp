#include "residua/data/mnist.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "residua/data/idx.h"
#include "support.h"

namespace residua {
namespace {

using test::contains;
using test::error_of;
using test::ScopedEnvironment;
using test::TemporaryFolder;
using test::write_bytes;

std::string big_endian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFF);
  return bytes;
}

std::string idx_images(uint32_t count, uint32_t height, uint32_t width) {
  std::string bytes =
      big_endian(0x803) + big_endian(count) + big_endian(height) + big_endian(width);
  for (uint32_t i = 0; i < count * height * width; ++i) bytes += static_cast<char>(i % 251);
  return bytes;
}

std::string idx_labels(uint32_t count, int classes = 10) {
  std::string bytes = big_endian(0x801) + big_endian(count);
  for (uint32_t i = 0; i < count; ++i)
    bytes += static_cast<char>(i % static_cast<uint32_t>(classes));
  return bytes;
}

std::string gzipped(const std::string& bytes) {
  std::string out(bytes.size() + 1024, '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

void write_mnist(const std::string& folder, uint32_t train = 12, uint32_t test = 5) {
  write_bytes(folder + "/train-images-idx3-ubyte", idx_images(train, 4, 6));
  write_bytes(folder + "/train-labels-idx1-ubyte.gz", gzipped(idx_labels(train)));
  write_bytes(folder + "/t10k-images-idx3-ubyte.gz", gzipped(idx_images(test, 4, 6)));
  write_bytes(folder + "/t10k-labels-idx1-ubyte", idx_labels(test));
}

Error failure_after(const std::string& file, const std::string& bytes) {
  const TemporaryFolder folder;
  write_mnist(folder.path());
  write_bytes(folder / file, bytes);
  return error_of([&] { make_mnist({.path = folder.path()}); });
}

TEST(Mnist, ReadsPlainAndCompressedFiles) {
  const TemporaryFolder folder;
  write_mnist(folder.path());
  const DataSplits splits = make_mnist({.path = folder.path()});
  EXPECT_EQ(splits.train->size(), 12);
  EXPECT_EQ(splits.test->size(), 5);
  const Sample sample = splits.train->get(11);
  EXPECT_EQ(sample.label, 1);
  EXPECT_EQ(sample.image.height, 4);
  EXPECT_EQ(sample.image.width, 6);
  EXPECT_EQ(sample.image.pixels.at(0), 11 * 24 % 251);
  EXPECT_EQ(splits.train->describe(11), "record 11 of " + (folder / "train-images-idx3-ubyte"));
}

TEST(Mnist, IsFoundByTheEnvironment) {
  const TemporaryFolder data, cache;
  const ScopedEnvironment no_data("RESIDUA_DATA", data.path()),
      set_cache("RESIDUA_CACHE", cache.path());
  const Error missing = error_of([] { datasets().create("mnist"); });
  EXPECT_EQ(missing.kind(), ErrorKind::not_found);
  EXPECT_TRUE(contains(missing.what(), "residua data get mnist")) << missing.what();
  write_mnist(cache / "data/mnist", 3);
  EXPECT_EQ(datasets().create("mnist")->train->size(), 3);
  write_mnist(data / "mnist", 4);
  EXPECT_EQ(datasets().create("mnist")->train->size(), 4);
  const auto two = datasets().create({"mnist", {{"limit", 2}}});
  EXPECT_EQ(two->train->size(), 2);
  EXPECT_EQ(two->train->label(1), datasets().create("mnist")->train->label(1));
  EXPECT_EQ(two->test->size(), datasets().create("mnist")->test->size());
}

TEST(Mnist, ATruncatedFileNamesItselfAndTheSizes) {
  const Error error = failure_after("train-images-idx3-ubyte", idx_images(12, 4, 6).substr(0, 200));
  EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
  EXPECT_TRUE(contains(error.what(), "train-images-idx3-ubyte] is truncated")) << error.what();
  EXPECT_TRUE(contains(error.what(), "Expected 288 bytes")) << error.what();
  EXPECT_TRUE(contains(error.what(), "Received 184 bytes")) << error.what();
}

TEST(Mnist, ATruncatedGzipFileIsCorrupt) {
  const std::string bytes = gzipped(idx_images(5, 4, 6));
  const Error error = failure_after("t10k-images-idx3-ubyte.gz", bytes.substr(0, bytes.size() - 9));
  EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
  EXPECT_TRUE(contains(error.what(), "t10k-images-idx3-ubyte.gz")) << error.what();
}

TEST(Mnist, TrailingBytesWrongMagicAndShortHeadersAreErrors) {
  for (const std::string& bytes :
       {idx_images(12, 4, 6) + "x", idx_labels(12), std::string("\0\0\x08", 3), std::string(),
        big_endian(0x803) + big_endian(0xFFFFFFFF) + big_endian(0xFFFFFFFF) +
            big_endian(0xFFFFFFFF)}) {
    const Error error = failure_after("train-images-idx3-ubyte", bytes);
    EXPECT_EQ(error.kind(), ErrorKind::corrupt_file) << error.what();
    EXPECT_TRUE(contains(error.what(), "train-images-idx3-ubyte")) << error.what();
  }
}

TEST(Mnist, CountsThatDifferAreAnError) {
  const Error error = failure_after("t10k-labels-idx1-ubyte", idx_labels(6));
  EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
  EXPECT_TRUE(contains(error.what(), "another number of labels")) << error.what();
}

TEST(Mnist, ALabelOutOfRangeNamesTheRecord) {
  std::string labels = idx_labels(5);
  labels.back() = 10;
  const Error error = failure_after("t10k-labels-idx1-ubyte", labels);
  EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
  EXPECT_TRUE(contains(error.what(), "record 4 of")) << error.what();
  EXPECT_TRUE(contains(error.what(), "Expected 0 to 9. Received 10")) << error.what();
}

TEST(Mnist, TheRealSetsCanBeRead) {
  if (!std::getenv("RESIDUA_DATA")) GTEST_SKIP() << "RESIDUA_DATA is not set";
  const auto mnist = datasets().create("mnist");
  EXPECT_EQ(mnist->train->size(), 60000);
  EXPECT_EQ(mnist->test->size(), 10000);
  EXPECT_EQ(mnist->train->label(0), 5);
  EXPECT_EQ(mnist->test->label(0), 7);
  EXPECT_EQ(datasets().create("fashion-mnist")->test->size(), 10000);
}

}  // namespace
}  // namespace residua
