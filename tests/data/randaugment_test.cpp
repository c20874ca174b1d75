#include "residua/data/randaugment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "pictures.h"
#include "support.h"

namespace residua {
namespace {

using test::digest_of;
using test::picture;

AugmentOp op_of(const std::string& name) {
  const auto& names = EnumNames<AugmentOp>::names;
  return static_cast<AugmentOp>(std::find(names.begin(), names.end(), name) - names.begin());
}

// name, height, width, channels, magnitude, bins, sign, strength, digest of the pixels
TEST(RandAugment, OperatorsAreThoseOfTorchvisionOnPilImages) {
  const auto rows = test::read_fixture("augment.tsv");
  ASSERT_EQ(rows.size(), 736u);
  std::set<std::string> seen;
  for (const auto& row : rows) {
    const auto number = [&](size_t i) { return std::stoll(row.at(i)); };
    const AugmentOp op = op_of(row[0]);
    ASSERT_LT(static_cast<int>(op), kAugmentOps) << row[0];
    seen.insert(row[0]);
    const double strength = augment_strength(op, number(4), number(5), number(1), number(2));
    // 1e-7: libtorch's vectorised linspace rounds once where ours rounds twice.
    EXPECT_NEAR(strength, std::stod(row[7]), 1e-7 * std::abs(strength)) << row[0];
    Image image = picture(number(1), number(2), number(3)), memory;
    apply_augment(op, static_cast<double>(number(6)) * strength, image, memory);
    EXPECT_EQ(digest_of(image), row[8])
        << row[0] << " magnitude " << row[4] << " of " << row[5] << ", sign " << row[6] << ", "
        << row[1] << " x " << row[2] << " x " << row[3];
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(kAugmentOps));
}

TEST(RandAugment, IsDecidedByTheRandomNumbers) {
  const RandAugmentOptions options{.ops = 2, .magnitude = 9};
  std::set<std::string> results;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Image a = picture(32, 32, 3), b = a, memory;
    Random first(seed), second(seed);
    randaugment(options, first, a, memory);
    randaugment(options, second, b, memory);
    EXPECT_EQ(a.pixels, b.pixels);
    EXPECT_EQ(a.pixels.size(), 32u * 32 * 3);
    results.insert(digest_of(a));
  }
  EXPECT_GT(results.size(), 40u);
}

TEST(RandAugment, RefusesAMagnitudeBeyondTheBins) {
  EXPECT_EQ(
      test::error_of([] { check_randaugment({.ops = 1, .magnitude = 31, .bins = 31}, 3); }).kind(),
      ErrorKind::invalid_argument);
  EXPECT_NO_THROW(check_randaugment({.ops = 1, .magnitude = 30, .bins = 31}, 3));
}

}  // namespace
}  // namespace residua
