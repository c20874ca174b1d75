// Images as the network's numbers, against their definition.
#include "residua/runtime/image_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "residua/core/error.h"
#include "tests/data/pictures.h"

namespace residua {
namespace {

using test::picture;

TEST(ImageInput, ResizesCutsAndNormalises) {
  const ImagePreprocessing images{.height = 20,
                                  .width = 24,
                                  .resize = 30,
                                  .mean = {0.1, 0.2, 0.3},
                                  .stddev = {0.5, 0.25, 0.125}};
  const Image image = picture(61, 83, 3);
  ImageInput prepare(images);
  ASSERT_EQ(prepare.elements(), 3 * 20 * 24);
  std::vector<float> out(3 * 20 * 24);
  prepare.write(image, out);
  // int(30 * 83 / 61) = 40 columns; (30 - 20) / 2 rows and (40 - 24) / 2 columns are cut off.
  const Image whole = resized(image, 30, 40);
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t y = 0; y < 20; ++y)
      for (int64_t x = 0; x < 24; ++x) {
        const auto ch = static_cast<size_t>(c);
        const double pixel =
            whole.pixels[static_cast<size_t>(((y + 5) * 40 + x + 8) * 3 + c)] / 255.0;
        ASSERT_FLOAT_EQ(out[static_cast<size_t>((c * 20 + y) * 24 + x)],
                        static_cast<float>((pixel - images.mean[ch]) / images.stddev[ch]));
      }
}

TEST(ImageInput, TheCropFractionGivesTheSize) {
  ImagePreprocessing images{.height = 224, .width = 224};
  EXPECT_EQ(images.shorter_side(), 256);
  images.crop_fraction = 0.95;
  EXPECT_EQ(images.shorter_side(), 236);
  images.resize = 232;
  EXPECT_EQ(images.shorter_side(), 232);
}

TEST(ImageInput, ChangesColourToWhatTheNetworkReads) {
  for (const int64_t channels : {1, 2, 3, 4})
    for (const size_t wanted : {1u, 3u}) {
      const Image image = picture(9, 9, channels);
      ImageInput prepare({.height = 9,
                          .width = 9,
                          .resize = 9,
                          .mean = std::vector<double>(wanted, 0),
                          .stddev = std::vector<double>(wanted, 1)});
      std::vector<float> out(wanted * 81);
      prepare.write(image, out);
      const Image same = wanted == 3 ? to_rgb(image) : to_grey(image);
      for (size_t i = 0; i < 81; ++i)
        for (size_t c = 0; c < wanted; ++c)
          EXPECT_FLOAT_EQ(out[c * 81 + i], static_cast<float>(same.pixels[i * wanted + c] / 255.0));
    }
}

TEST(ImageInput, IsReadFromMetadata) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 3, 8, 8});
  b.output("y", b.add(op::Unary{{UnaryKind::relu}}, {x}));
  Graph graph = b.finish();
  bool assumed = false;
  auto images = preprocessing_of(graph, &assumed);
  ASSERT_TRUE(images);
  EXPECT_TRUE(assumed);
  EXPECT_EQ(images->mean, (std::vector<double>{0.485, 0.456, 0.406}));
  graph.metadata = {{"mean", "0.5 0.25 0.125"}, {"stddev", "1 2 4"}, {"crop", "0.9"}};
  images = preprocessing_of(graph, &assumed);
  EXPECT_FALSE(assumed);
  EXPECT_EQ(images->stddev, (std::vector<double>{1, 2, 4}));
  EXPECT_EQ(images->crop_fraction, 0.9);
  for (const char* broken : {"", "a b c", "1 2", "1 2 3 4", "1 2 3,4"}) {
    graph.metadata["mean"] = broken;
    preprocessing_of(graph, &assumed);
    EXPECT_TRUE(assumed) << broken;
  }
  graph.metadata["mean"] = "0.5 0.25 0.125";
  graph.value(graph.inputs[0]).type.shape = {1, 3, 1, 1};
  images = preprocessing_of(graph, &assumed);
  EXPECT_FALSE(assumed);
  EXPECT_EQ(images->height, 1);
  graph.axes = {{graph.inputs[0], 2, {"height"}}, {graph.inputs[0], 3, {"width"}}};
  images = preprocessing_of(graph, &assumed);  // nothing is known of the size
  EXPECT_TRUE(assumed);
  EXPECT_EQ(images->height, 224);
  EXPECT_EQ(images->width, 224);
  EXPECT_TRUE(takes_images(graph, *images));
  graph.value(graph.inputs[0]).type.shape = {1, 5, 8, 8};
  EXPECT_FALSE(preprocessing_of(graph));
}

}  // namespace
}  // namespace residua
