#pragma once

#include <cstdint>

namespace residua::kernels {

// The upper half of a float32.
struct Bf16 {
  uint16_t bits;
};

}  // namespace residua::kernels
