#include "residua/data/resample.h"

#include <gtest/gtest.h>

#include "pictures.h"
#include "support.h"

namespace residua {
namespace {

using test::digest_of;
using test::picture;

TEST(Resample, IsPilsBilinearBitForBit) {
  const auto rows = test::read_fixture("resize.tsv");
  ASSERT_EQ(rows.size(), 20u);
  for (const auto& row : rows) {
    const auto number = [&](size_t i) { return std::stoll(row.at(i)); };
    const Image out = resized(picture(number(0), number(1), number(2)), number(3), number(4));
    EXPECT_EQ(digest_of(out), row.at(5))
        << row[0] << " x " << row[1] << " x " << row[2] << " to " << row[3] << " x " << row[4];
  }
}

TEST(Resample, AWindowOfAPartIsTheWindowOfTheWhole) {
  const Image image = picture(61, 83, 3);
  const Resize resize{61, 83, 40, 50, {7, 11, 20, 24}};
  const CropBox needed = resize.source();
  EXPECT_LT(needed.height, 61);
  const Image part = crop(image, needed);
  Image window;
  ResampleScratch scratch;
  resample(part, needed.top, needed.left, resize, window, scratch);
  EXPECT_EQ(window.pixels, crop(resized(image, 40, 50), resize.window).pixels);
}

TEST(Resample, APartThatDoesNotCoverTheWindowIsRefused) {
  Image out;
  ResampleScratch scratch;
  const Resize resize{61, 83, 40, 50, {7, 11, 20, 24}};
  EXPECT_EQ(
      test::error_of([&] { resample(picture(20, 20, 1), 0, 0, resize, out, scratch); }).kind(),
      ErrorKind::internal);
}

}  // namespace
}  // namespace residua
