#pragma once
// A stream over branches that are plain functions, to hold connections to their formulas.

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <vector>

#include "residua/connections/stream.h"

namespace residua {

using ToyBranch = std::function<at::Tensor(const at::Tensor&)>;

class ToyStream {
 public:
  ToyStream(const Component& connection, std::vector<ToyBranch> branches, int64_t width,
            CarrierKind kind = CarrierKind::mlp)
      : branches_(std::move(branches)) {
    const bool pairs = kind == CarrierKind::gpt || kind == CarrierKind::vit;
    for (size_t i = 0; i < branches_.size(); ++i) {
      const int64_t n = static_cast<int64_t>(i);
      carrier_.sites.push_back({.branch = n,
                                .block = pairs ? n / 2 : n,
                                .sublayer = pairs ? n % 2 : 0,
                                .kind = pairs && n % 2 == 0 ? SiteKind::attention : SiteKind::mlp,
                                .c_in = width,
                                .c_out = width});
    }
    carrier_.kind = kind;
    carrier_.sites = numbered(carrier_.sites);
    connection_ = connections().create(connection, carrier_, Random(1));
    schedule_ = numbered(connection_->schedule(carrier_.sites));
  }

  at::Tensor operator()(const at::Tensor& x) {
    inputs.clear();
    outputs.clear();
    StreamParts parts{.schedule = schedule_};
    parts.branch = [this](const Site& site, const at::Tensor& input, State&) {
      inputs.push_back(input);
      outputs.push_back(branches_[static_cast<size_t>(site.branch)](input));
      return outputs.back();
    };
    return connection_->finish(run_stream(*connection_, x, parts));
  }

  Connection& connection() { return *connection_; }
  const Carrier& carrier() const { return carrier_; }
  const std::vector<Site>& schedule() const { return schedule_; }

  std::vector<at::Tensor> inputs, outputs;  // of each branch of the last pass, in its order

 private:
  std::vector<ToyBranch> branches_;
  Carrier carrier_;
  std::shared_ptr<Connection> connection_;
  std::vector<Site> schedule_;
};

// x -> tanh(x W_i) with weights of order `size`, float64.
inline std::vector<ToyBranch> tanh_branches(int64_t count, int64_t width, double size = 0.5) {
  torch::manual_seed(11);
  std::vector<ToyBranch> branches;
  for (int64_t i = 0; i < count; ++i) {
    const at::Tensor w = size * torch::randn({width, width}, at::kDouble);
    branches.push_back([w](const at::Tensor& x) { return at::matmul(x, w).tanh(); });
  }
  return branches;
}

inline double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

}  // namespace residua
