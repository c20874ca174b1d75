#include "residua/data/cifar.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "support.h"

namespace residua {
namespace {

using test::contains;
using test::error_of;
using test::TemporaryFolder;
using test::write_bytes;

// Labels, then planes whose values are 1 (red), 2 (green), 3 (blue), with the first red pixel 9.
std::string record(std::initializer_list<int> labels) {
  std::string bytes;
  for (const int label : labels) bytes += static_cast<char>(label);
  for (int plane = 1; plane <= 3; ++plane) bytes += std::string(1024, static_cast<char>(plane));
  bytes[labels.size()] = 9;
  return bytes;
}

void write_cifar10(const std::string& folder) {
  for (int i = 1; i <= 5; ++i)
    write_bytes(folder + "/data_batch_" + std::to_string(i) + ".bin",
                record({i}) + record({i + 4}));
  write_bytes(folder + "/test_batch.bin", record({3}));
}

Error cifar10_failure(const std::string& file, const std::string& bytes) {
  const TemporaryFolder folder;
  write_cifar10(folder.path());
  write_bytes(folder / file, bytes);
  return error_of([&] { make_cifar10({.path = folder.path()}); });
}

TEST(Cifar, ReadsRecordsChannelsLast) {
  const TemporaryFolder folder;
  write_cifar10(folder / "cifar-10-batches-bin");
  const DataSplits splits = make_cifar10({.path = folder.path()});
  EXPECT_EQ(splits.train->size(), 10);
  EXPECT_EQ(splits.test->size(), 1);
  const Sample sample = splits.train->get(3);
  EXPECT_EQ(sample.label, 6);
  EXPECT_EQ(std::vector<uint8_t>(sample.image.pixels.begin(), sample.image.pixels.begin() + 6),
            (std::vector<uint8_t>{9, 2, 3, 1, 2, 3}));
  EXPECT_EQ(splits.train->describe(3),
            "record 1 of " + (folder / "cifar-10-batches-bin/data_batch_2.bin"));
}

TEST(Cifar, HundredHasFineAndCoarseLabels) {
  const TemporaryFolder folder;
  write_bytes(folder / "train.bin", record({19, 99}) + record({0, 4}));
  write_bytes(folder / "test.bin", record({7, 0}));
  const DataSplits fine = make_cifar100({.path = folder.path()});
  EXPECT_EQ(fine.train->label(0), 99);
  EXPECT_EQ(fine.train->info().classes.size(), 100u);
  EXPECT_EQ(
      std::set<std::string>(fine.train->info().classes.begin(), fine.train->info().classes.end())
          .size(),
      100u);
  EXPECT_EQ(fine.train->info().classes.at(99), "worm");
  const DataSplits coarse = make_cifar100({.path = folder.path(), .labels = CifarLabels::coarse});
  EXPECT_EQ(coarse.train->label(0), 19);
  EXPECT_EQ(coarse.train->info().classes.size(), 20u);
  EXPECT_EQ(coarse.test->label(0), 7);
}

TEST(Cifar, ATruncatedRecordNamesTheFileAndTheSizes) {
  const Error error =
      cifar10_failure("data_batch_3.bin", (record({1}) + record({1})).substr(0, 6000));
  EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
  EXPECT_TRUE(contains(error.what(), "data_batch_3.bin] is truncated within a record"))
      << error.what();
  EXPECT_TRUE(contains(error.what(), "6146")) << error.what();
  EXPECT_TRUE(contains(error.what(), "Received 6000 bytes")) << error.what();
}

TEST(Cifar, AnEmptyFileIsAnError) {
  EXPECT_EQ(cifar10_failure("test_batch.bin", "").kind(), ErrorKind::corrupt_file);
  EXPECT_EQ(cifar10_failure("test_batch.bin", "x").kind(), ErrorKind::corrupt_file);
}

TEST(Cifar, ALabelOutOfRangeNamesTheRecord) {
  const Error error = cifar10_failure("data_batch_2.bin", record({0}) + record({10}));
  EXPECT_EQ(error.kind(), ErrorKind::corrupt_file);
  EXPECT_TRUE(contains(error.what(), "record 1 of")) << error.what();
  EXPECT_TRUE(contains(error.what(), "Expected 0 to 9. Received 10")) << error.what();
}

TEST(Cifar, AMissingBatchIsNamed) {
  const TemporaryFolder folder;
  write_cifar10(folder.path());
  std::filesystem::remove(folder / "data_batch_4.bin");
  const Error error = error_of([&] { make_cifar10({.path = folder.path()}); });
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_TRUE(contains(error.what(), "data_batch_4.bin")) << error.what();
}

TEST(Cifar, TheRealSetCanBeRead) {
  if (!std::getenv("RESIDUA_DATA")) GTEST_SKIP() << "RESIDUA_DATA is not set";
  const auto splits = datasets().create("cifar10");
  // The first image of the official first batch is a frog.
  EXPECT_EQ(splits->train->info().classes.at(static_cast<size_t>(splits->train->label(0))), "frog");
  double sum = 0;
  for (int64_t i = 0; i < 1000; ++i)
    for (const uint8_t value : splits->train->get(i).image.pixels) sum += value;
  EXPECT_NEAR(sum / (1000.0 * 3072 * 255), (0.4914 + 0.4822 + 0.4465) / 3, 0.02);
}

}  // namespace
}  // namespace residua
