#pragma once
// The blocks of "Deep Residual Learning for Image Recognition" (He, Zhang, Ren, Sun 2015,
// arXiv:1512.03385): y = relu(F(x) + S(x)), with a residual branch F of two or three convolutions
// and a shortcut S; and of "Identity Mappings in Deep Residual Networks" (the same 2016,
// arXiv:1603.05027): y = F(relu(bn(x))) + S(x). What merges F and S is the connection's affair, and
// how F is built beside its convolutions is the connection's style.

#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <vector>

#include "residua/connections/connection.h"
#include "residua/core/options.h"
#include "residua/core/random.h"
#include "residua/nn/batch_norm.h"
#include "residua/nn/conv.h"

namespace residua {

enum class BlockKind {
  basic,       // 3x3, 3x3
  bottleneck,  // 1x1, 3x3, 1x1 to four times as many channels
};

// How the shortcut changes its shape (section 3.3 and the options of table 3 of the paper).
enum class Shortcut {
  a,  // every stride-th pixel, new channels zero: no parameters
  b,  // a strided 1x1 convolution and a normalisation where the shape changes, else identity
  c,  // the convolution and normalisation in every block
};

// Where a block normalises and activates.
enum class BlockOrder {
  post,  // convolution, normalisation, ReLU; the last ReLU after the addition (2015)
  pre,   // normalisation, ReLU, convolution; nothing after the addition (2016)
};

template <>
struct EnumNames<BlockKind> {
  static constexpr std::array names{"basic", "bottleneck"};
};
template <>
struct EnumNames<Shortcut> {
  static constexpr std::array names{"A", "B", "C"};
};
template <>
struct EnumNames<BlockOrder> {
  static constexpr std::array names{"post", "pre"};
};

struct ResidualBlockOptions {
  int64_t in = 0,
          planes = 0;  // the block puts out `planes` channels, a bottleneck four times as many
  int64_t stride = 1;
  int64_t groups = 1;  // bottleneck only: groups of its 3x3 convolution (ResNeXt)
  int64_t width_per_group =
      64;  // bottleneck only: inner channels = groups * (planes * width_per_group / 64)
  bool stride_in_1x1 = false;  // bottleneck only: stride in the first convolution (the paper) or
                               // the 3x3 (torchvision)
  Shortcut shortcut = Shortcut::b;
  std::string shortcut_name =
      "downsample";  // its projection is <name>.0, the normalisation <name>.1
  BlockOrder order = BlockOrder::post;
  bool has_shortcut = true;  // false: a plain block, whose shortcut has no parameters
  bool zero_init_residual =
      false;  // the last normalisation's weight begins at 0, so that the block is relu(S(x))
  WeightInit init = WeightInit::he_fan_out;
  BranchStyle style = {};
};

// Parameters: conv{i}, bn{i} where normalised, and the shortcut's projection.
//
// With style.scalars, of order post as in the reference of Fixup: bias{i}a before convolution i,
// bias{i}b before the activation behind it, `scale` and the last bias{i}b behind the last one; of
// order pre: bias{i}a before activation i, bias{i}b before convolution i, `scale` behind the last.
// The projection is then <shortcut_name> itself. With style.weight_standard, as in timm's
// normaliser-free networks: convolutions have gain and bias, activations the constant that keeps
// the variance 1 (where nothing normalises), and the projection is <shortcut_name>.conv behind an
// average pooling.
class ResidualBlock : public torch::nn::Module, public BranchWeights {
 public:
  // F(x), without addition or last activation. `entered`: receives what the first convolution sees,
  // from which the projection of a pre-activation block starts.
  at::Tensor branch(const at::Tensor& x, at::Tensor* entered = nullptr);
  // S(x); `entered` as given by branch for this x, computed where undefined.
  at::Tensor shortcut(const at::Tensor& x, const at::Tensor& entered = {});
  // Whether `fused` is there: post-activation blocks with normalisation alone.
  bool can_fuse() const;
  // relu(F(x) + S(x)), or relu(F(x)), of a post-activation block, the last normalisation in one
  // pass with what follows it.
  at::Tensor fused(const at::Tensor& x, bool with_shortcut);

  std::vector<at::Tensor> branch_weights() const override;
  const ResidualBlockOptions& options() const { return options_; }

 protected:
  struct ConvShape {
    int64_t in, out, kernel, stride = 1, groups = 1;
  };
  ResidualBlock(const char* name, const ResidualBlockOptions& options,
                const std::vector<ConvShape>& convolutions, const Random& random);

 private:
  at::Tensor scalar(const std::string& name, double value);
  void add_branch(const std::vector<ConvShape>& shapes, const Random& random);
  void add_scalars(size_t count);
  void add_shortcut(const Random& random);
  // What the first convolution sees.
  at::Tensor enter(const at::Tensor& x);
  // From there to the last convolution, and its scalars.
  at::Tensor convolutions(const at::Tensor& entered);
  at::Tensor activate(const std::shared_ptr<BatchNorm2d>& norm, const at::Tensor& bias,
                      const at::Tensor& x);

  ResidualBlockOptions options_;
  int64_t out_ = 0;
  double gamma_ = 1;  // of activations
  std::vector<std::shared_ptr<WeightLayer>> convs_;
  std::vector<std::shared_ptr<BatchNorm2d>> norms_;   // null where there is none; of order post
                                                      // behind, of order pre before convolution i
  std::vector<at::Tensor> conv_biases_, act_biases_;  // likewise; undefined where there is none
  at::Tensor scale_, last_bias_;
  std::shared_ptr<WeightLayer> projection_;
  std::shared_ptr<BatchNorm2d> projection_norm_;
};

class BasicBlock final : public ResidualBlock {
 public:
  BasicBlock(const ResidualBlockOptions& options, const Random& random);
};

class Bottleneck final : public ResidualBlock {
 public:
  static constexpr int64_t kExpansion = 4;
  Bottleneck(const ResidualBlockOptions& options, const Random& random);
};

// Every stride-th pixel, and zero channels before and behind the present ones: [N, in, H, W] to
// [N, out, ceil(H / stride), ceil(W / stride)]; with `behind` all of them behind. Needs out >= in.
at::Tensor shortcut_a(const at::Tensor& x, int64_t out, int64_t stride, bool behind = false);

// A run of blocks named "0", "1", ...; the first one changes the shape.
class Stage final : public torch::nn::Module {
 public:
  // `first.stride` is that of the first block; the others have stride 1 and the first one's output
  // as input. `styles`, where given, has one for each block.
  Stage(BlockKind kind, int64_t count, const ResidualBlockOptions& first, const Random& random,
        const std::vector<BranchStyle>& styles = {});
  const std::vector<std::shared_ptr<ResidualBlock>>& blocks() const { return blocks_; }

 private:
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;
};

// Channels that a block of this kind puts out.
int64_t block_channels(BlockKind kind, int64_t planes);

}  // namespace residua
