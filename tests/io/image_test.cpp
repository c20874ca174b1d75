#include "residua/io/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "residua/core/random.h"
#include "residua/io/csv.h"
#include "residua/io/sha256.h"
#include "tests/io/fixtures.h"

namespace residua::testing {
namespace {

std::string pixel_hash(const Image& image) {
  return sha256_hex(std::as_bytes(std::span(image.pixels)));
}

// images.tsv holds the pixels of PIL, which uses the same libjpeg-turbo.
TEST(Image, DecodesAsPil) {
  const CsvTable table = read_csv(fixture("images.tsv"), {.separator = '\t'});
  ASSERT_GE(table.rows(), 19);
  for (int64_t row = 0; row < table.rows(); ++row) {
    const std::string path = fixture(table.cell(row, 0));
    SCOPED_TRACE(path);
    const Image image = read_image(path);
    EXPECT_EQ(image.height, table.integer(row, 1));
    EXPECT_EQ(image.width, table.integer(row, 2));
    EXPECT_EQ(image.channels, table.integer(row, 3));
    EXPECT_EQ(pixel_hash(to_rgb(image)), table.cell(row, 4));
    EXPECT_EQ(image.warning, "");
    const ImageSize size = image_size(read_file(path), path);
    EXPECT_EQ(size.height, image.height);
    EXPECT_EQ(size.width, image.width);
    EXPECT_EQ(size.channels, image.channels);
  }
}

TEST(Image, GreyAsPil) {
  std::string expected;
  std::ifstream(fixture("grey_of_scene.txt")) >> expected;
  EXPECT_EQ(pixel_hash(to_grey(read_image(fixture("scene.png")))), expected);
}

TEST(Image, CropDecodeEqualsDecodeAndCrop) {
  Random random(3);
  for (const char* name : {"rgb444.jpg", "rgb422.jpg", "rgb420.jpg", "progressive444.jpg",
                           "progressive420.jpg", "grey.jpg", "cmyk.jpg"}) {
    const std::vector<std::byte> bytes = read_file(fixture(name));
    const Image whole = decode_image(bytes, name);
    for (int round = 0; round < 400; ++round) {
      CropBox box;
      box.height = random.integer(1, whole.height + 1);
      box.width = random.integer(1, whole.width + 1);
      box.top = random.integer(0, whole.height - box.height + 1);
      box.left = random.integer(0, whole.width - box.width + 1);
      const Image part = decode_jpeg_crop(bytes, box, name);
      ASSERT_EQ(part.pixels, crop(whole, box).pixels)
          << name << " " << box.height << "x" << box.width << " at " << box.top << "," << box.left;
    }
  }
}

TEST(Image, RefusesCropsBeyondTheImage) {
  const std::vector<std::byte> bytes = read_file(fixture("rgb420.jpg"));
  for (const CropBox box : {CropBox{0, 0, 54, 1}, CropBox{-1, 0, 1, 1}, CropBox{0, 70, 1, 1},
                            CropBox{0, 0, 0, 1}, CropBox{INT64_MAX, 0, 1, 1}})
    EXPECT_EQ(error_of([&] { decode_jpeg_crop(bytes, box, "x"); }).kind(),
              ErrorKind::invalid_argument);
}

TEST(Image, PngSurvivesWritingAndReading) {
  Random random(5);
  const TemporaryFolder folder;
  for (int64_t channels = 1; channels <= 4; ++channels) {
    Image image{.height = 17, .width = 9, .channels = channels};
    image.pixels.resize(static_cast<size_t>(17 * 9 * channels));
    for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(random.integer(0, 256));
    write_png(folder.file("x.png"), image);
    const Image again = read_image(folder.file("x.png"));
    EXPECT_EQ(again.channels, channels);
    EXPECT_EQ(again.pixels, image.pixels);
    EXPECT_EQ(encode_png(image), encode_png(again));  // equal pixels, equal bytes
  }
}

TEST(Image, EveryTruncationIsAnError) {
  for (const char* name : {"rgb420.jpg", "progressive420.jpg", "grey.jpg", "rgb.png", "palette.png",
                           "interlaced.png"}) {
    const std::vector<std::byte> bytes = read_file(fixture(name));
    for (size_t size = 0; size < bytes.size(); ++size) {
      const Error error = error_of([&] { decode_image(std::span(bytes).first(size), name); });
      EXPECT_THAT(error.kind(), ::testing::AnyOf(ErrorKind::corrupt_file, ErrorKind::unsupported))
          << size;
      EXPECT_EQ(error.text().where, name);
    }
  }
}

TEST(Image, RefusesUnfitImages) {
  Image image{.height = 2, .width = 2, .channels = 3};
  image.pixels.resize(11);
  EXPECT_EQ(error_of([&] { encode_png(image); }).kind(), ErrorKind::invalid_argument);
  image.channels = 5;
  image.pixels.resize(20);
  EXPECT_EQ(error_of([&] { to_rgb(image); }).kind(), ErrorKind::invalid_argument);
}

}  // namespace
}  // namespace residua::testing
