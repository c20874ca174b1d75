#pragma once
// What residual networks of stages of blocks have in common: the stages, one site of the stream for
// each block, and the passes over them.

#include <memory>
#include <vector>

#include "residua/models/stream_model.h"
#include "residua/models/vision/residual_block.h"

namespace residua {

class StagedResNet : public StreamModel {
 public:
  const std::vector<std::shared_ptr<Stage>>& stages() const { return stages_; }

 protected:
  // Creates the connection, and stages "layer1", "layer2", ... of counts[s] blocks with
  // width << s planes; `first` says all else of the blocks. Returns the last stage's channels.
  int64_t add_stages(BlockKind kind, const std::vector<int64_t>& counts, int64_t width,
                     const ResidualBlockOptions& first, const Component& connection,
                     const Random& random);
  // The stream after the last stage; `levels`, where given, receives it after each stage.
  at::Tensor run_stages(const at::Tensor& x, std::vector<at::Tensor>* levels = nullptr);

 private:
  ResidualBlock& block_of(const Site& site) { return *blocks_[static_cast<size_t>(site.branch)]; }

  std::vector<std::shared_ptr<Stage>> stages_;
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;  // by branch; null: not run
};

}  // namespace residua
