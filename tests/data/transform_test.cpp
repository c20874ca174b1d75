#include "residua/data/transform.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "pictures.h"
#include "support.h"

namespace residua {
namespace {

using test::counting_dataset;
using test::error_of;
using test::picture;

DatasetInfo plain_info(int64_t height, int64_t width, int64_t channels = 3) {
  DatasetInfo info{.name = "plain", .channels = channels, .height = height, .width = width};
  info.mean.assign(static_cast<size_t>(channels), 0.0);
  info.stddev.assign(static_cast<size_t>(channels), 1.0 / 255);  // outputs are the pixel values
  return info;
}

std::vector<float> run(const Pipeline& pipeline, const Image& image, uint64_t seed = 0,
                       PixelLayout layout = PixelLayout::channels_last) {
  std::vector<float> out(static_cast<size_t>(pipeline.elements()), -7.0f);
  Pipeline::Scratch scratch;
  pipeline.apply(image, Random(seed), out, layout, scratch);
  return out;
}

void expect_pixels(const std::vector<float>& out, const Image& image) {
  ASSERT_EQ(out.size(), image.pixels.size());
  for (size_t i = 0; i < out.size(); ++i) ASSERT_FLOAT_EQ(out[i], image.pixels[i]) << i;
}

TEST(Pipeline, NormalisesByChannelInBothLayouts) {
  DatasetInfo info = plain_info(3, 5);
  info.mean = {0.1, 0.2, 0.3};
  info.stddev = {0.5, 0.25, 0.125};
  const Image image = picture(3, 5, 3);
  const Pipeline pipeline(info, {}, Phase::test);
  const auto last = run(pipeline, image),
             first = run(pipeline, image, 0, PixelLayout::channels_first);
  for (size_t i = 0; i < 15; ++i)
    for (size_t c = 0; c < 3; ++c) {
      EXPECT_FLOAT_EQ(
          last[i * 3 + c],
          static_cast<float>((image.pixels[i * 3 + c] / 255.0 - info.mean[c]) / info.stddev[c]));
      EXPECT_EQ(first[c * 15 + i], last[i * 3 + c]);
    }
}

// The pad crop against its definition, pixel by pixel, for all shifts and flips.
TEST(Pipeline, PadCropAndFlipAreWhatTheySay) {
  constexpr int64_t kSide = 6, kPad = 2;
  const Image image = picture(kSide, kSide, 3);
  const Pipeline pipeline(plain_info(kSide, kSide),
                          {.crop = CropKind::pad, .pad = kPad, .flip = 0.5}, Phase::train);
  std::set<int> seen;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const auto out = run(pipeline, image, seed);
    int matches = 0;
    for (int64_t top = 0; top <= 2 * kPad; ++top)
      for (int64_t left = 0; left <= 2 * kPad; ++left)
        for (const bool flip : {false, true}) {
          bool same = true;
          for (int64_t y = 0; y < kSide && same; ++y)
            for (int64_t x = 0; x < kSide && same; ++x) {
              const int64_t in_y = y + top - kPad, in_x = (flip ? kSide - 1 - x : x) + left - kPad;
              const bool inside = in_y >= 0 && in_y < kSide && in_x >= 0 && in_x < kSide;
              for (int64_t c = 0; c < 3 && same; ++c)
                same =
                    std::abs(out[static_cast<size_t>((y * kSide + x) * 3 + c)] -
                             (inside
                                  ? image.pixels[static_cast<size_t>((in_y * kSide + in_x) * 3 + c)]
                                  : 0)) < 1e-3;
            }
          if (same) seen.insert(static_cast<int>((top * 5 + left) * 2 + flip));
          matches += same;
        }
    ASSERT_EQ(matches, 1) << seed;
  }
  EXPECT_EQ(seen.size(), 50u);
}

TEST(Pipeline, CenterCropIsResizeAndCut) {
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{60, 91}, {91, 60}, {33, 33}}) {
    const Image image = picture(height, width, 3);
    const Pipeline pipeline(plain_info(0, 0), {.crop = CropKind::center, .size = 28, .resize = 32},
                            Phase::test);
    const int64_t out_height = height > width ? 32 * height / width : 32,
                  out_width = width > height ? 32 * width / height : 32;
    const CropBox box{static_cast<int64_t>(std::nearbyint((out_height - 28) / 2.0)),
                      static_cast<int64_t>(std::nearbyint((out_width - 28) / 2.0)), 28, 28};
    expect_pixels(run(pipeline, image), crop(resized(image, out_height, out_width), box));
  }
}

TEST(Pipeline, RandomResizedCropIsCutAndResize) {
  const Image image = picture(60, 91, 3);
  const Pipeline pipeline(plain_info(0, 0), {.crop = CropKind::random_resized, .size = 24},
                          Phase::train);
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Random draws = Random(seed).split("crop");
    const CropBox box = random_resized_crop(60, 91, 0.08, 1, 0.75, draws);
    expect_pixels(run(pipeline, image, seed), resized(crop(image, box), 24, 24));
  }
}

TEST(Pipeline, RandomResizedCropsFollowTheirDistribution) {
  Random random(1);
  double area = 0, log_ratio = 0;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const CropBox box = random_resized_crop(1000, 1000, 0.1, 0.4, 0.75, random);
    EXPECT_LE(box.top + box.height, 1000);
    EXPECT_LE(box.left + box.width, 1000);
    const double part = static_cast<double>(box.height * box.width) / 1e6;
    const double ratio = static_cast<double>(box.width) / static_cast<double>(box.height);
    EXPECT_GT(part, 0.099);
    EXPECT_LT(part, 0.401);
    EXPECT_GT(ratio, 0.745);
    EXPECT_LT(ratio, 1.345);
    area += part / kDraws;
    log_ratio += std::log(ratio) / kDraws;
  }
  EXPECT_NEAR(area, 0.25, 0.006);    // four standard errors of U(0.1, 0.4)
  EXPECT_NEAR(log_ratio, 0, 0.011);  // and of U(-0.288, 0.288)
  // No try fits: the middle, with the aspect ratio at its bound.
  const CropBox strip = random_resized_crop(10, 1000, 0.9, 1, 0.75, random);
  EXPECT_EQ(strip.height, 10);
  EXPECT_EQ(strip.width, 13);
  EXPECT_EQ(strip.left, (1000 - 13) / 2);
}

TEST(Pipeline, ConvertsChannels) {
  const Image grey = picture(4, 4, 1), colour = picture(4, 4, 3);
  const auto repeated = run(Pipeline(plain_info(4, 4, 3), {}, Phase::test), grey);
  EXPECT_FLOAT_EQ(repeated[5], grey.pixels[1]);
  const auto single = run(Pipeline(plain_info(4, 4, 1), {}, Phase::test), colour);
  EXPECT_FLOAT_EQ(single[1], to_grey(colour).pixels[1]);
}

TEST(Pipeline, RandAugmentAndErasingAreReproducible) {
  const AugmentOptions options{.crop = CropKind::pad,
                               .pad = 2,
                               .flip = 0.5,
                               .randaugment = {.ops = 2},
                               .erase = {.probability = 0.5, .fill = EraseFill::noise}};
  const Pipeline pipeline(plain_info(16, 16), options, Phase::train);
  const Image image = picture(16, 16, 3);
  std::set<std::vector<float>> results;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(run(pipeline, image, seed), run(pipeline, image, seed));
    results.insert(run(pipeline, image, seed));
  }
  EXPECT_GT(results.size(), 15u);
  // Nothing is random in the test phase.
  const Pipeline test_phase(plain_info(16, 16), options, Phase::test);
  EXPECT_EQ(run(test_phase, image, 1), run(test_phase, image, 2));
}

TEST(Pipeline, FollowsTheRecommendationOfTheDataset) {
  DatasetInfo info = plain_info(0, 0);
  info.transform = {.crop = CropKind::random_resized, .size = 224, .resize = 256, .flip = 0.5};
  const Pipeline train(info, {}, Phase::train), test(info, {}, Phase::test);
  EXPECT_EQ(train.crop(), CropKind::random_resized);
  EXPECT_EQ(train.flip(), 0.5);
  EXPECT_EQ(test.crop(), CropKind::center);
  EXPECT_EQ(test.resize(), 256);
  EXPECT_EQ(test.flip(), 0);
  EXPECT_EQ(Pipeline(info, {.size = 112}, Phase::test).resize(), 128);
  EXPECT_EQ(Pipeline(info, {.flip = 0.0}, Phase::train).flip(), 0);
}

TEST(Pipeline, RefusesOptionsThatDoNotFit) {
  const DatasetInfo info = plain_info(8, 8);
  for (const AugmentOptions& options :
       {AugmentOptions{.mean = {0.5}}, AugmentOptions{.crop = CropKind::none, .pad = 2},
        AugmentOptions{.crop = CropKind::center, .size = 32, .resize = 16},
        AugmentOptions{.min_scale = 0.9, .max_scale = 0.5},
        AugmentOptions{.randaugment = {.ops = 1, .magnitude = 40}},
        AugmentOptions{.erase = {.min_area = 0.5, .max_area = 0.1}}}) {
    const Error error = error_of([&] { Pipeline(info, options, Phase::train); });
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << error.what();
  }
  EXPECT_EQ(error_of([] { Pipeline(plain_info(0, 0), {}, Phase::train); }).kind(),
            ErrorKind::invalid_argument);
}

}  // namespace
}  // namespace residua
