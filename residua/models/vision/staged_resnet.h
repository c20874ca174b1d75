#pragma once
// What residual networks of stages of blocks have in common: stem, stages with one site of the
// stream for each block, head, and the passes over them.

#include <memory>
#include <string>
#include <vector>

#include "residua/models/stream_model.h"
#include "residua/models/vision/residual_block.h"
#include "residua/nn/linear.h"
#include "residua/nn/pool.h"

namespace residua {

struct StageOptions {
  BlockKind block = BlockKind::basic;
  std::vector<int64_t> counts = {};  // blocks of each stage
  int64_t width = 0;                 // planes of the first stage, doubled at each further one
  ResidualBlockOptions first = {};   // all else of the blocks; `in` is the stem's width
  bool norm = true;                  // batch normalisation, where the connection wants it too
  Component connection = "identity";
};

// Parameters: conv1, bn1 (order post); layer{s}.{i}; bn (order pre); the classifier. Connections
// may ask for scalar biases: bias1 before the activation of the stem (post) or of the head (pre),
// and bias2 before the classifier.
class StagedResNet : public StreamModel {
 public:
  const std::vector<std::shared_ptr<Stage>>& stages() const { return stages_; }

 protected:
  // In this order: the connection; the stem's convolution and normalisation; the stages; the head.
  StagedResNet(const StageOptions& options, const Random& random);
  struct StemShape {
    int64_t kernel, stride;
  };
  void add_stem(const StemShape& shape, const Random& random);
  void add_stages(const Random& random);
  void add_head(const std::string& classifier, const Random& random);

  at::Tensor run_stem(const at::Tensor& x);
  // The stream after the last stage; `levels`, where given, receives it after each stage.
  at::Tensor run_stages(const at::Tensor& x, std::vector<at::Tensor>* levels = nullptr);
  at::Tensor run_head(const at::Tensor& x);
  void replace_classifier(int64_t num_classes, const Random& random);

 private:
  BranchStyle style_of(int64_t branch) const;
  EndStyle ends() const;
  bool pre() const { return options_.first.order == BlockOrder::pre; }
  ResidualBlock& block_of(const Site& site) { return *blocks_[static_cast<size_t>(site.branch)]; }

  StageOptions options_;
  int64_t channels_;  // of the last stage
  std::shared_ptr<WeightLayer> conv1_;
  std::shared_ptr<BatchNorm2d> bn1_, last_bn_;
  at::Tensor bias1_, bias2_;
  std::vector<std::shared_ptr<Stage>> stages_;
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;  // by branch; null: not run
  std::shared_ptr<GlobalAveragePool> avgpool_;
  std::shared_ptr<Linear> classifier_;
};

}  // namespace residua
