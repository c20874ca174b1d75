#include "residua/io/resample.h"

#include <gtest/gtest.h>

#include "residua/core/error.h"
#include "tests/data/pictures.h"

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
  try {
    resample(picture(20, 20, 1), 0, 0, resize, out, scratch);
    FAIL() << "was not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal);
  }
}

TEST(Resample, TheMiddleIsTorchvisionsResizeAndCenterCrop) {
  const Resize wide = center_resize(480, 641, 256, 224, 224);
  EXPECT_EQ(wide.out_height, 256);
  EXPECT_EQ(wide.out_width, 341);  // int(256 * 641 / 480)
  EXPECT_EQ(wide.window.top, 16);
  EXPECT_EQ(wide.window.left, 58);  // round(58.5), ties to even
  const Resize tall = center_resize(641, 480, 256, 224, 192);
  EXPECT_EQ(tall.out_height, 341);
  EXPECT_EQ(tall.out_width, 256);
  EXPECT_EQ(tall.window.top, 58);
  EXPECT_EQ(tall.window.left, 32);
  EXPECT_EQ(tall.window.height, 224);
  EXPECT_EQ(tall.window.width, 192);
}

}  // namespace
}  // namespace residua
