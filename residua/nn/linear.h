#pragma once
// y = x W^T + b over the last dimension.

#include <memory>

#include "residua/core/random.h"
#include "residua/nn/weight_layer.h"

namespace residua {

struct LinearOptions {
  bool bias = true;
  WeightInit init = WeightInit::he_fan_out;
  double stddev = 0;  // > 0: weights normal(0, stddev) whatever `init` says, and the bias 0
};

// Parameters: weight [out, in], and bias [out], uniform in +-1/sqrt(in), where asked for.
class Linear final : public WeightLayer {
 public:
  Linear(int64_t in, int64_t out, const LinearOptions& options, const Random& random);

  at::Tensor forward(const at::Tensor& x) const override;  // [..., in] -> [..., out]
  int64_t macs(const at::Tensor& input, const at::Tensor& output) const override;
  void pretty_print(std::ostream& stream) const override;
  const LinearOptions& options() const { return options_; }

 private:
  LinearOptions options_;
};

std::shared_ptr<Linear> linear(int64_t in, int64_t out, const LinearOptions& options,
                               const Random& random);

}  // namespace residua
