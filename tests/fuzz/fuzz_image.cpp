// JPEG and PNG; a JPEG that decodes must decode to the same pixels in parts.
#include "residua/io/image.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace residua;
  fuzz::expect_error_or_success([&] {
    const OwnedBytes input = fuzz::heap_copy(data, size);
    const ImageSize declared = image_size(input.bytes, "input");
    if (declared.height * declared.width > 4'000'000)
      return;  // time, not memory: a tiny PNG may hold as many
    const Image image = decode_image(input.bytes, "input");
    if (image.height != declared.height || image.width != declared.width ||
        image.channels != declared.channels)
      std::abort();
    if (!is_jpeg(input.bytes)) return;
    const CropBox box{image.height / 3, image.width / 3, (image.height + 2) / 3,
                      (image.width + 2) / 3};
    const Image part = decode_jpeg_crop(input.bytes, box, "input");
    // Damaged data is repaired differently when parts of it are skipped.
    if (image.warning.empty() && part.pixels != crop(image, box).pixels) std::abort();
  });
  return 0;
}
