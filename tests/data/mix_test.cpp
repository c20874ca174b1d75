#include "residua/data/mix.h"

#include <gtest/gtest.h>

#include <numeric>

#include "residua/data/erase.h"

namespace residua {
namespace {

TEST(Mix, CutMixWeighsLabelsByTheExactArea) {
  constexpr int64_t kCount = 4, kHeight = 7, kWidth = 5, kClasses = 4;
  Random random(3);
  bool clipped = false;
  for (int round = 0; round < 200; ++round) {
    const BatchMix mix = draw_mix({.cutmix = 1}, kHeight, kWidth, random);
    // Image i is filled with its own number, so the pixels tell where they come from.
    std::vector<float> images;
    for (int64_t i = 0; i < kCount; ++i)
      images.insert(images.end(), 2 * kHeight * kWidth, static_cast<float>(i));
    std::vector<float> last = images;
    mix_images(mix, kCount, 2, kHeight, kWidth, false, images.data());
    mix_images(mix, kCount, 2, kHeight, kWidth, true, last.data());
    const std::vector<int64_t> labels{0, 1, 2, 3};
    std::vector<float> targets(kCount * kClasses);
    mix_labels(mix, labels, kClasses, targets.data());
    for (int64_t i = 0; i < kCount; ++i)
      for (int64_t c = 0; c < kClasses; ++c) {
        const auto part = [&](const std::vector<float>& pixels) {
          const auto begin = pixels.begin() + i * 2 * kHeight * kWidth;
          return static_cast<double>(
                     std::count(begin, begin + 2 * kHeight * kWidth, static_cast<float>(c))) /
                 (2 * kHeight * kWidth);
        };
        EXPECT_NEAR(targets[static_cast<size_t>(i * kClasses + c)], part(images), 1e-6);
        EXPECT_NEAR(part(last), part(images), 1e-12);
      }
    clipped |= mix.box.top == 0 || mix.box.left == 0;
  }
  EXPECT_TRUE(clipped);
}

TEST(Mix, MixupBlendsWithTheReversedBatch) {
  const BatchMix mix{.weight = 0.75, .cut = false, .box = {}};
  std::vector<float> images{0, 4, 10, 20, 8, 12};  // three images of two values
  mix_images(mix, 3, 2, 1, 1, false, images.data());
  EXPECT_EQ(images, (std::vector<float>{2, 6, 10, 20, 6, 10}));
  const std::vector<int64_t> labels{0, 1, 1};
  std::vector<float> targets(6);
  mix_labels(mix, labels, 2, targets.data());
  EXPECT_EQ(targets, (std::vector<float>{0.75, 0.25, 0, 1, 0.25, 0.75}));
}

TEST(Mix, ChoosesByProbabilityAndSwitch) {
  Random random(1);
  int none = 0, cut = 0, blended = 0;
  for (int i = 0; i < 4000; ++i) {
    const BatchMix mix =
        draw_mix({.mixup = 0.8, .cutmix = 1, .probability = 0.5, .switch_probability = 0.25}, 32,
                 32, random);
    ++(mix.cut ? cut : mix.weight == 1 ? none : blended);
  }
  EXPECT_NEAR(none, 2000, 130);  // four standard deviations
  EXPECT_NEAR(cut, 500, 85);
  EXPECT_NEAR(blended, 1500, 125);
  EXPECT_EQ(draw_mix({}, 8, 8, random).weight, 1);
}

TEST(Erase, CoversAnAreaWithinItsBounds) {
  constexpr int64_t kSide = 40;
  int erased = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    std::vector<float> image(2 * kSide * kSide, 1.0f);
    Random random(seed);
    random_erase({.probability = 0.5, .min_area = 0.1, .max_area = 0.3}, random, 2, kSide, kSide,
                 false, image);
    const auto zeros = std::count(image.begin(), image.end(), 0.0f);
    if (zeros == 0) continue;
    ++erased;
    EXPECT_EQ(std::count(image.begin(), image.begin() + kSide * kSide, 0.0f) * 2, zeros);
    EXPECT_GT(zeros, 0.08 * 2 * kSide * kSide);  // sides are rounded
    EXPECT_LT(zeros, 0.33 * 2 * kSide * kSide);
  }
  EXPECT_NEAR(erased, 200, 40);
}

TEST(Erase, NoiseIsTheSameInBothLayouts) {
  std::vector<float> planar(3 * 64, 0.0f), last(3 * 64, 0.0f);
  Random a(5), b(5);
  const EraseOptions options{
      .probability = 1, .min_area = 0.2, .max_area = 0.3, .fill = EraseFill::noise};
  random_erase(options, a, 3, 8, 8, false, planar);
  random_erase(options, b, 3, 8, 8, true, last);
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = 0; i < 64; ++i) EXPECT_EQ(planar[c * 64 + i], last[i * 3 + c]);
  EXPECT_GT(std::count_if(planar.begin(), planar.end(), [](float v) { return v != 0; }), 20);
}

}  // namespace
}  // namespace residua
