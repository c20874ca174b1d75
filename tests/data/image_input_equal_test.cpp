// What a plan does to images is what predictions do: the same numbers.
#include <gtest/gtest.h>

#include "pictures.h"
#include "residua/data/transform.h"
#include "residua/runtime/image_input.h"

namespace residua {
namespace {

using test::picture;

struct Prepared {
  int64_t side, resize;
};

TEST(ImageInputOfAPlan, EqualsThePipelineOfPredictions) {
  for (const auto [side, resize] :
       {Prepared{8, 8}, Prepared{24, 24}, Prepared{28, 32}, Prepared{32, 37}, Prepared{64, 73}})
    for (const size_t channels : {1u, 3u}) {
      DatasetInfo info{.name = "pictures", .channels = static_cast<int64_t>(channels)};
      info.mean = channels == 3 ? std::vector<double>{0.485, 0.456, 0.406} : std::vector{0.1307};
      info.stddev = channels == 3 ? std::vector<double>{0.229, 0.224, 0.225} : std::vector{0.3081};
      const Pipeline pipeline(info, {.crop = CropKind::center, .size = side, .resize = resize},
                              Phase::test);
      ImageInput prepare({.height = side,
                          .width = side,
                          .resize = resize,
                          .mean = info.mean,
                          .stddev = info.stddev});
      ASSERT_EQ(prepare.elements(), pipeline.elements());
      Pipeline::Scratch scratch;
      std::vector<float> expected(static_cast<size_t>(pipeline.elements())), received = expected;
      // Smaller and larger than the crop, square, wide, tall; odd differences round alike.
      for (const auto& [height, width] :
           {std::pair{24, 24}, {17, 40}, {41, 23}, {5, 90}, {200, 133}, {64, 65}})
        for (const int64_t of_image : {1, 2, 3, 4}) {
          const Image image = picture(height, width, of_image);
          pipeline.apply(image, Random(0), expected, PixelLayout::channels_first, scratch);
          prepare.write(image, received);
          for (size_t i = 0; i < expected.size(); ++i)
            ASSERT_NEAR(received[i], expected[i], 1e-6)
                << height << " x " << width << " x " << of_image << " to " << side;
        }
    }
}

}  // namespace
}  // namespace residua
