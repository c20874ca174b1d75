#pragma once
// Generated pictures: the same as in fixtures/make_fixtures.py.

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "residua/core/random.h"
#include "residua/io/image.h"
#include "residua/io/sha256.h"

namespace residua::test {

inline Image picture(int64_t height, int64_t width, int64_t channels) {
  Image image{.height = height, .width = width, .channels = channels};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c) {
        const auto noise = static_cast<int64_t>(
            mix64(static_cast<uint64_t>((y * width + x) * channels + c + 1)) % 61);
        const int64_t value = 20 + noise + (c + 1) * (y + 2 * x) * 40 / (height + width);
        image.pixels.push_back(static_cast<uint8_t>(std::min<int64_t>(255, value)));
      }
  return image;
}

inline std::string digest_of(const Image& image) {
  return sha256_hex(std::as_bytes(std::span(image.pixels)));
}

// Rows of fields separated by tabs.
inline std::vector<std::vector<std::string>> read_fixture(const std::string& name) {
  std::ifstream file(std::string(RESIDUA_SOURCE_DIR) + "/tests/data/fixtures/" + name);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    auto& row = rows.emplace_back();
    for (std::string field; std::getline(fields, field, '\t');) row.push_back(field);
  }
  return rows;
}

}  // namespace residua::test
