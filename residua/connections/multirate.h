#pragma once
// "M2R2: Mixture of Multi-Rate Residuals for Efficient Transformer Inference" (Bhendawade et al.
// 2025, arXiv:2502.02040): beside the slow stream h of a trained, frozen network runs a fast one p,
// which adapters drive towards the states that h reaches later,
//
//   p^l = p^{l-1} + f_l(p^{l-1}) + A_l(p^{l-1}),   A_l(p) = up_l down_l layer_norm(p),
//
// beginning anew from h behind each gate. Attention of p uses the keys and values of h. At a gate
// the network may be left with what p predicts.

#include <memory>
#include <string>
#include <vector>

#include "residua/connections/connection.h"
#include "residua/nn/linear.h"

namespace residua {

struct MultirateOptions {
  std::vector<int64_t> gates = {};
  int64_t rank = 8;
  double rate = 2;
  bool fast = true;
  double mu = 1;
  int64_t latent = 8;
  int64_t window = 2;
  void fields(Fields& f);
};

// A_l; `up` begins at zero. Parameters down.weight [rank, d], up.weight [d, rank].
class Accelerator final : public torch::nn::Module {
 public:
  Accelerator(int64_t width, int64_t rank, const Random& random);
  at::Tensor forward(const at::Tensor& x) const;  // [..., d]

  std::shared_ptr<Linear> down, up;
};

// How sure a gate is that p predicts what h will: a small attention over the last states of p, the
// newest asking, and a perceptron of two layers on what it asked with and what it got.
class ExitRouter final : public torch::nn::Module {
 public:
  ExitRouter(int64_t width, int64_t latent, const Random& random);
  at::Tensor forward(const std::vector<at::Tensor>& states) const;  // [..., d] each -> logit [...]

 private:
  std::shared_ptr<Linear> down_, query_, key_, value_, fc1_, fc2_;
};

// Parameters: accel.{branch}.{down, up}, gate.{j}. Without `fast`, the baseline: no stream p, and
// one adapter at each gate, as large as those of its interval together, applied to h.
class MultirateConnection final : public Connection {
 public:
  MultirateConnection(const MultirateOptions& options, const Carrier& carrier,
                      const Random& random);

  State begin(const at::Tensor& x0) override;
  Read read(State& state, const Site& site) override;
  void merge(State& state, const Site& site, const at::Tensor& y, const Read& read) override;
  at::Tensor finish(const State& state) override { return state.x(); }
  StreamDiagram describe() const override;
  at::Tensor keys(State& state, const Site& site, const at::Tensor& k) override;
  at::Tensor values(State& state, const Site& site, const at::Tensor& v) override;

  // Sum over gates j, means over tokens: cross entropy of p's prediction with that of the slow
  // state `rate` times deeper, mu (1 - cosine) of both states, and the binary cross entropy of the
  // router with whether p's prediction is the network's. No gradient reaches h.
  at::Tensor penalty(const State& state, const at::Tensor& sample_losses) override;
  // agree_{gate}: part of the tokens for which p predicts what the network does; cosine_{gate};
  // confidence_{gate}.
  NamedValues metrics(const State& state) override;
  bool has_extras() const override { return true; }

  const std::vector<int64_t>& gates() const { return options_.gates; }
  // What gate j saw in a pass: the state that leaves there, and the router's logit.
  at::Tensor exit_state(const State& state, int64_t gate) const;
  at::Tensor exit_logit(const State& state, int64_t gate) const;
  // Without, passes compute h alone.
  void run_fast(bool on) { run_fast_ = on; }

 private:
  bool accelerates(const Site& site) const;
  void pass_gate(State& state, const Site& site);
  void remember(State& state) const;
  std::vector<at::Tensor> recent(const State& state) const;
  int64_t target_of(int64_t gate) const;

  MultirateOptions options_;
  int64_t blocks_ = 0;
  std::vector<bool> last_of_block_;                         // by branch
  std::vector<std::shared_ptr<Accelerator>> accelerators_;  // by branch; null: none
  std::vector<std::shared_ptr<ExitRouter>> routers_;        // by gate
  bool run_fast_ = true;
};

// multirate
void add_multirate_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
