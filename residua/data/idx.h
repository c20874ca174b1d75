#pragma once
// The IDX format of MNIST: a magic number, big-endian sizes, unsigned bytes.
// http://yann.lecun.com/exdb/mnist/

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace residua {

struct IdxArray {
  std::vector<int64_t> shape;
  std::span<const std::byte> values;  // within the bytes that were parsed
};

// Unsigned bytes of the given rank (1 labels, 3 images). Throws ErrorKind::corrupt_file naming
// `where` for another magic number, a size of zero, or a content that is not exactly what the
// header announces.
IdxArray parse_idx(std::span<const std::byte> bytes, int rank, std::string_view where);

struct IdxImages {
  int64_t count = 0, height = 0, width = 0;
  std::vector<uint8_t> pixels = {};  // [count, height, width]
  std::vector<int64_t> labels = {};  // [count]
};

// An images file and its labels file, whose counts must agree.
IdxImages parse_idx_images(std::span<const std::byte> images, std::string_view images_where,
                           std::span<const std::byte> labels, std::string_view labels_where);

}  // namespace residua
