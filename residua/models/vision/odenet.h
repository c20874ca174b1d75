#pragma once
// ODE-Net and its residual counterpart for small images: a convolution to 64 channels and two
// downsamplings; then six residual blocks, or one block that is the solution of an equation over
// [0, 1]; then a classifier ("Neural Ordinary Differential Equations", arXiv:1806.07366,
// section 3). Parameter names are those of torchdiffeq's MNIST example, a list: 0 to 6 the
// downsampling, 7 and on the features, then 0-based as they come. ODE block: {7}.odefunc.norm1,
// conv1._layer, norm2, conv2._layer, norm3.

#include <memory>
#include <vector>

#include "residua/connections/ode_adjoint.h"
#include "residua/models/model.h"
#include "residua/nn/conv.h"
#include "residua/nn/group_norm.h"
#include "residua/nn/linear.h"

namespace residua {

enum class OdeNetFeatures {
  ode,       // one block solved over [0, 1]
  residual,  // `blocks` residual blocks
};

template <>
struct EnumNames<OdeNetFeatures> {
  static constexpr std::array names{"ode", "residual"};
};

struct OdeNetOptions {
  OdeNetFeatures features = OdeNetFeatures::ode;
  int64_t blocks = 6;
  int64_t width = 64;
  OdeMethod method = OdeMethod::dopri5;
  double tolerance = 1e-3;
  int64_t steps = 1;
  bool adjoint = true;
  bool seminorm = false;
  int64_t num_classes = 10;
  int64_t in_channels = 1;

  void fields(Fields& f);
};

// f(t, x) = norm(conv(t, relu(norm(conv(t, relu(norm(x))))))), the time as one more channel.
class OdeConvField final : public torch::nn::Module {
 public:
  OdeConvField(int64_t width, const Random& random);
  at::Tensor forward(double t, const at::Tensor& x) const;

 private:
  std::shared_ptr<GroupNorm> norm1_, norm2_, norm3_;
  std::shared_ptr<Conv2d> conv1_, conv2_;
};

// x + conv(relu(norm(conv(relu(norm(x))))))
class GroupNormBlock final : public torch::nn::Module {
 public:
  GroupNormBlock(int64_t width, const Random& random);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  std::shared_ptr<GroupNorm> norm1_, norm2_;
  std::shared_ptr<Conv2d> conv1_, conv2_;
};

class OdeNet final : public Model {
 public:
  OdeNet(const OdeNetOptions& options, const Random& random);

  at::Tensor forward(at::Tensor x) override;
  // After the downsampling and after the features.
  std::vector<at::Tensor> features(at::Tensor x) override;
  void reset_classifier(int64_t num_classes, Random random) override;
  // Evaluations of the field in the last forward, and in the last backward by the adjoint.
  Extras extras(const at::Tensor& sample_losses) override;

  // The features' solution over [0, 1] and what it cost. `x` is [N, width, H, W].
  at::Tensor solve(const at::Tensor& x);
  at::Tensor downsample(const at::Tensor& x);
  void set_tolerance(double tolerance) { options_.tolerance = tolerance; }
  const OdeStats& last_forward() const { return stats_->forward; }

 private:
  at::Tensor classify(const at::Tensor& x);

  OdeNetOptions options_;
  std::vector<std::shared_ptr<Conv2d>> convs_;  // of the downsampling
  std::vector<std::shared_ptr<GroupNorm>> norms_;
  std::shared_ptr<OdeConvField> field_;
  std::vector<std::shared_ptr<GroupNormBlock>> blocks_;
  std::shared_ptr<GroupNorm> last_norm_;
  std::shared_ptr<Linear> linear_;
  std::shared_ptr<AdjointStats> stats_ = std::make_shared<AdjointStats>();
};

void add_odenets(Registry<Model, Random>& models);

}  // namespace residua
