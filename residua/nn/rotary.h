#pragma once
// Rotary positions (Su et al. 2021, arXiv:2104.09864) with the pairing of GPT-NeoX and Llama:
// channel i is turned together with channel i + d/2 by the angle position / base^(2 i / d).

#include <ATen/core/Tensor.h>

namespace residua {

class Rotary {
 public:
  // Throws ErrorKind::invalid_argument for an odd number of channels.
  Rotary(int64_t channels, double base);

  // Turns x [..., T, channels], whose first row stands at position `offset`.
  at::Tensor apply(const at::Tensor& x, int64_t offset) const;

 private:
  int64_t channels_;
  double base_;
  struct Tables {
    at::Tensor cos, sin;  // [positions, channels]
  };
  Tables tables(int64_t positions, const at::Tensor& like) const;

  mutable Tables kept_;  // grown on demand
};

}  // namespace residua
