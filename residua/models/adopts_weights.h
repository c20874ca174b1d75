#pragma once
// Models that can begin with weights of the same architecture for other inputs.

#include <ATen/core/Tensor.h>

#include <string>

namespace residua {

class AdoptsWeights {
 public:
  // Takes over a tensor of another size than its own, such as position embeddings of another image
  // size; false where it does not know how.
  virtual bool adopt(const std::string& name, const at::Tensor& tensor) = 0;

 protected:
  ~AdoptsWeights() = default;
};

}  // namespace residua
