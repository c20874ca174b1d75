#pragma once
// The block of normaliser-free networks: x + alpha * f(act(x) / beta), where f is a bottleneck of
// standardised convolutions ("High-Performance Large-Scale Image Recognition Without
// Normalization", Brock et al. 2021, arXiv:2102.06171, figure 5). The sum, alpha and beta are those
// of the connection "nf".

#include <torch/nn/module.h>

#include <memory>
#include <vector>

#include "residua/connections/connection.h"
#include "residua/core/random.h"
#include "residua/nn/activation.h"
#include "residua/nn/channel_attention.h"
#include "residua/nn/weight_standard.h"

namespace residua {

// How layers of one network are made.
struct NfLayers {
  Activation act = Activation::relu;
  bool gamma_in_act = false;  // the constant that keeps the variance multiplies activations, not
                              // weights
  bool same_padding = false;
  double eps = 1e-5;

  std::shared_ptr<ScaledStdConv2d> conv(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                                        int64_t groups, const Random& random,
                                        double gain = 1) const;
  at::Tensor activated(const at::Tensor& x) const;
};

struct NfBlockOptions {
  int64_t in = 0, inner = 0, out = 0, stride = 1;
  int64_t groups = 1;       // of the 3x3 convolutions
  bool extra_conv = false;  // a second 3x3 convolution, conv2b
  bool skipinit = false;    // a learned gain that begins at 0; otherwise conv3's gains do
  double se_ratio = 0;      // squeeze-and-excitation; 0: none
  bool se_inside = false;   // it follows conv2 (`attn`), not conv3 (`attn_last`)
  double drop_path = 0;
  double input_scale = 1;  // 1 / beta
  NfLayers layers = {};
};

// Parameters as timm's: conv1, conv2, conv2b, conv3, attn or attn_last, skipinit_gain,
// downsample.conv.
class NfBlock final : public torch::nn::Module, public BranchWeights {
 public:
  NfBlock(const NfBlockOptions& options, const Random& random);

  // f; `entered` receives act(x) / beta.
  at::Tensor branch(const at::Tensor& x, at::Tensor* entered = nullptr) const;
  // Of a block that changes the shape: average pooling and a convolution of act(x) / beta, which is
  // computed where `entered` is undefined.
  at::Tensor shortcut(const at::Tensor& x, const at::Tensor& entered = {}) const;
  std::vector<at::Tensor> branch_weights() const override;

 private:
  at::Tensor enter(const at::Tensor& x) const;

  NfBlockOptions options_;
  std::shared_ptr<ScaledStdConv2d> conv1_, conv2_, conv2b_, conv3_, downsample_;
  std::shared_ptr<SqueezeExcite> attn_, attn_last_;
  at::Tensor skipinit_gain_;
};

}  // namespace residua
