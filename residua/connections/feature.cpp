#include "residua/connections/feature.h"

#include <torch/torch.h>

namespace residua {

at::Tensor channel_means(const at::Tensor& x, CarrierKind kind) {
  switch (kind) {
    case CarrierKind::cnn: return x.mean({2, 3});
    case CarrierKind::vit: return x.mean(1);
    default: return x;
  }
}

at::Tensor over_positions(const at::Tensor& means, CarrierKind kind) {
  switch (kind) {
    case CarrierKind::cnn: return means.unsqueeze(-1).unsqueeze(-1);
    case CarrierKind::vit: return means.unsqueeze(1);
    default: return means;
  }
}

at::Tensor over_channels(const at::Tensor& numbers, const at::Tensor& x) {
  at::Tensor shaped = numbers;
  while (shaped.dim() < x.dim()) shaped = shaped.unsqueeze(-1);
  return shaped;
}

}  // namespace residua
