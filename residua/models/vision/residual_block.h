#pragma once
// The blocks of "Deep Residual Learning for Image Recognition" (He, Zhang, Ren, Sun 2015,
// arXiv:1512.03385): y = relu(F(x) + S(x)), with a residual branch F of two or three convolutions
// and a shortcut S; and of "Identity Mappings in Deep Residual Networks" (the same 2016,
// arXiv:1603.05027): y = F(relu(bn(x))) + S(x). What merges F and S is the connection's affair.

#include <torch/nn/module.h>

#include <memory>
#include <string>

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
};

class ResidualBlock : public torch::nn::Module {
 public:
  // F(x), without addition or last activation. `activated` (pre-activation blocks only): receives
  // relu(bn(x)), from which the projection of such a block starts.
  at::Tensor branch(const at::Tensor& x, at::Tensor* activated = nullptr);
  // S(x); `activated` as given by branch for this x, computed where undefined.
  at::Tensor shortcut(const at::Tensor& x, const at::Tensor& activated = {});
  // relu(F(x) + S(x)), or relu(F(x)), of a post-activation block, the last normalisation in one
  // pass with what follows it.
  at::Tensor fused(const at::Tensor& x, bool with_shortcut);

  const ResidualBlockOptions& options() const { return options_; }

 protected:
  ResidualBlock(const char* name, const ResidualBlockOptions& options)
      : torch::nn::Module(name), options_(options) {}
  // Called last by constructors, so that the shortcut's parameters come last too.
  void add_shortcut(int64_t out, std::shared_ptr<BatchNorm2d> last_norm, const Random& random);
  // F up to its last convolution, from x (post) or from relu(bn(x)) (pre).
  virtual at::Tensor convolutions(const at::Tensor& x) = 0;
  // relu(bn(x)) of a pre-activation block.
  virtual at::Tensor activate(const at::Tensor& x) = 0;

 private:
  ResidualBlockOptions options_;
  int64_t out_ = 0;
  std::shared_ptr<BatchNorm2d> last_norm_, projection_norm_;
  std::shared_ptr<Conv2d> projection_;
};

class BasicBlock final : public ResidualBlock {
 public:
  BasicBlock(const ResidualBlockOptions& options, const Random& random);

 private:
  at::Tensor convolutions(const at::Tensor& x) override;
  at::Tensor activate(const at::Tensor& x) override;
  std::shared_ptr<Conv2d> conv1_, conv2_;
  std::shared_ptr<BatchNorm2d> bn1_, bn2_;
};

class Bottleneck final : public ResidualBlock {
 public:
  static constexpr int64_t kExpansion = 4;
  Bottleneck(const ResidualBlockOptions& options, const Random& random);

 private:
  at::Tensor convolutions(const at::Tensor& x) override;
  at::Tensor activate(const at::Tensor& x) override;
  std::shared_ptr<Conv2d> conv1_, conv2_, conv3_;
  std::shared_ptr<BatchNorm2d> bn1_, bn2_, bn3_;
};

// Every stride-th pixel, and zero channels before and behind the present ones: [N, in, H, W] to
// [N, out, ceil(H / stride), ceil(W / stride)]. Needs out >= in.
at::Tensor shortcut_a(const at::Tensor& x, int64_t out, int64_t stride);

// A run of blocks named "0", "1", ...; the first one changes the shape.
class Stage final : public torch::nn::Module {
 public:
  // `first.stride` is that of the first block; the others have stride 1 and the first one's output
  // as input.
  Stage(BlockKind kind, int64_t count, const ResidualBlockOptions& first, const Random& random);
  const std::vector<std::shared_ptr<ResidualBlock>>& blocks() const { return blocks_; }

 private:
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;
};

// Channels that a block of this kind puts out.
int64_t block_channels(BlockKind kind, int64_t planes);

}  // namespace residua
