#pragma once
// The JSON header of a safetensors file (internal to io).

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "residua/io/dtype.h"

namespace residua {

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  uint64_t begin = 0, end = 0;  // of the data, from its start
};

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<SafetensorsEntry> tensors;
};

// Reads the header in one pass without building a tree, so that a hundred thousand tensors stay
// cheap.
SafetensorsHeader parse_safetensors_header(std::string_view json, const std::string& path);

}  // namespace residua
