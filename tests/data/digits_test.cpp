#include "residua/data/digits.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>

#include "residua/io/sha256.h"

namespace residua {
namespace {

std::array<int, 10> count_classes(const Dataset& dataset) {
  std::array<int, 10> counts{};
  for (int64_t i = 0; i < dataset.size(); ++i) ++counts.at(static_cast<size_t>(dataset.label(i)));
  return counts;
}

// Every fifth image of each class, counted apart from this code in the CSV file.
TEST(Digits, TheSplitIsFixedAndStratified) {
  const DataSplits splits = make_digits();
  EXPECT_EQ(splits.train->size(), 1442);
  EXPECT_EQ(splits.test->size(), 355);
  EXPECT_EQ(count_classes(*splits.test),
            (std::array<int, 10>{35, 36, 35, 36, 36, 36, 36, 35, 34, 36}));
  EXPECT_EQ(count_classes(*splits.train),
            (std::array<int, 10>{143, 146, 142, 147, 145, 146, 145, 144, 140, 144}));
}

TEST(Digits, ValuesRunFrom0To255) {
  const DataSplits splits = make_digits();
  // The first line of the file: a zero, whose first row is 0,0,5,13,9,1,0,0 of 16.
  const Sample first = splits.train->get(0);
  EXPECT_EQ(first.label, 0);
  EXPECT_EQ(std::vector<uint8_t>(first.image.pixels.begin(), first.image.pixels.begin() + 8),
            (std::vector<uint8_t>{0, 0, 80, 207, 143, 16, 0, 0}));
  EXPECT_EQ(first.image.height * first.image.width * first.image.channels, 64);
}

TEST(Digits, MeanAndDeviationAreThoseOfTheTrainingPart) {
  const DataSplits splits = make_digits();
  double sum = 0, squares = 0, count = 0;
  for (int64_t i = 0; i < splits.train->size(); ++i)
    for (const uint8_t value : splits.train->get(i).image.pixels) {
      sum += value / 255.0;
      squares += value / 255.0 * (value / 255.0);
      ++count;
    }
  const double mean = sum / count;
  EXPECT_NEAR(splits.train->info().mean.at(0), mean, 5e-5);
  EXPECT_NEAR(splits.train->info().stddev.at(0), std::sqrt(squares / count - mean * mean), 5e-5);
}

TEST(Digits, TheEmbeddedBytesAreTheFile) {
  // All training and test pixels and labels, hashed: any change of the data or of the split shows.
  const DataSplits splits = make_digits();
  Sha256 hash;
  for (const auto& part : {splits.train, splits.test})
    for (int64_t i = 0; i < part->size(); ++i) {
      const Sample sample = part->get(i);
      hash.update(std::as_bytes(std::span(sample.image.pixels)));
      const auto label = static_cast<uint8_t>(sample.label);
      hash.update(std::as_bytes(std::span(&label, 1)));
    }
  EXPECT_EQ(hash.hex(), "4ad4bd1d5b0f04e27b0c2bb88c5523e2bf9d734279266727177737136b12084c");
}

TEST(Digits, AreInTheRegistry) {
  const auto splits = datasets().create("digits");
  EXPECT_EQ(splits->train->info().classes.size(), 10u);
  EXPECT_EQ(splits->test->describe(3), "record 3 of the embedded digits");
}

}  // namespace
}  // namespace residua
