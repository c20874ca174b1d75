#pragma once
// A mixture of experts in the place of a feed-forward layer: a router sends each token to a few of
// many two-layer perceptrons (Shazeer et al. 2017, arXiv:1701.06538), within a capacity and with a
// balancing loss (Lepikhin et al. 2020, arXiv:2006.16668; Fedus et al. 2021, arXiv:2101.03961).

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <vector>

#include "residua/core/random.h"
#include "residua/nn/activation.h"
#include "residua/nn/linear.h"

namespace residua {

struct MoeOptions {
  int64_t dim = 0, hidden = 0;
  int64_t experts = 4;
  int64_t top_k = 2;             // experts of a token
  double capacity_factor = 1.2;  // an expert takes ceil(factor k tokens / experts); 0: all
  bool normalize = false;        // divide the gates of a token's experts by their sum
  Activation act = Activation::gelu;
  bool act_after = false;  // the activation also after the second layer
  double stddev = 0;       // of all first weights; 0: as Linear
};

// Where tokens go. Rows are assignments [A], A <= k tokens: token, expert, rank among the token's
// choices and gate, of those that found room; sorted by expert, and by token within.
struct MoeRoutes {
  at::Tensor probabilities;     // [tokens, experts]
  at::Tensor chosen;            // int64 [tokens, k], best first
  at::Tensor tokens, experts;   // int64 [A]
  at::Tensor gates;             // [A]
  std::vector<int64_t> counts;  // assignments of each expert
  int64_t dropped = 0;          // assignments without room
  at::Tensor balance;           // E sum_i m_i P_i: 1 when balanced
  at::Tensor z;                 // mean of logsumexp(logits)^2
};

// m_i is the fraction of tokens whose first choice is i, P_i the mean probability of i. First
// choices find room before second ones, and earlier tokens before later ones.
MoeRoutes moe_routes(const at::Tensor& logits, int64_t top_k, double capacity_factor,
                     bool normalize);

// Parameters: router.weight [experts, dim], experts.{e}.{fc1, fc2}.{weight, bias}.
class Moe final : public torch::nn::Module {
 public:
  Moe(const MoeOptions& options, const Random& random);

  struct Output {
    at::Tensor y;  // sum of gate * expert(x) over the token's experts; zero where none had room
    MoeRoutes routes;
  };
  Output forward(const at::Tensor& x) const;  // [..., dim]

  MoeRoutes route(const at::Tensor& x) const;  // of [..., dim], without running experts
  const MoeOptions& options() const { return options_; }

  std::shared_ptr<Linear> router;

 private:
  struct Expert {
    std::shared_ptr<Linear> fc1, fc2;
  };
  at::Tensor run_expert(const Expert& expert, const at::Tensor& x) const;
  Output forward_densely(const at::Tensor& x) const;

  MoeOptions options_;
  std::vector<Expert> experts_;
};

}  // namespace residua
