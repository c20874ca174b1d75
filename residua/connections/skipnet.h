#pragma once
// "SkipNet: Learning Dynamic Routing in Convolutional Networks" (Wang, Yu, Dou, Darrell, Gonzalez
// 2017, arXiv:1711.09485): each block but the first is executed or passed over for each sample,
//   x_{i+1} = G_i(x_i) F_i(x_i) + (1 - G_i(x_i)) S(x_i),  G in {0, 1},
// where F_i is the block with its shortcut S and its activation. The gate of a block looks at the
// output of the block before.

#include <array>

#include "residua/connections/connection.h"
#include "residua/connections/gate.h"

namespace residua {

// What a gate's probability p becomes in training. In evaluation it is p > 0.5.
enum class GateTraining {
  sp,    // p > 0.5 forwards, the gradient of p backwards (stage 1 of the paper)
  soft,  // p itself
  rl,    // drawn from p; REINFORCE learns the gates (stage 2)
};

template <>
struct EnumNames<GateTraining> {
  static constexpr std::array names{"sp", "soft", "rl"};
};

struct SkipNetOptions {
  GateKind gate = GateKind::rnn;
  int64_t features = 10;
  int64_t hidden = 10;
  GateTraining training = GateTraining::sp;
  double alpha = 0.1;
  double rl_weight = 0.01;
  bool baseline = false;
  bool rows = true;
  bool last_gate = false;

  void fields(Fields& f);
};

class SkipNet final : public Connection {
 public:
  SkipNet(const SkipNetOptions& options, const Carrier& carrier, const Random& random);

  // Replaces the gates' decisions by those of a function of the site to come and the log-odds
  // ([N], or [N, T] on a GPT) that the gate gives: 0 or 1 for each. Empty: the gates' own again.
  using Decide = std::function<at::Tensor(const Site& next, const at::Tensor& log_odds)>;
  void decide_by(Decide decide) { decide_ = std::move(decide); }

  Read read(State& state, const Site& site) override;
  void merge(State& state, const Site& site, const at::Tensor& y, const Read& read) override;
  StreamDiagram describe() const override { return {.merge = "g f(x) + (1 - g) x, g = 0 or 1"}; }
  bool activates() const override { return true; }
  // rl_weight mean_n sum_i log p(g_i) (L_n - alpha / gates sum_{j >= i} (1 - g_j)) in training with
  // training=rl: at rl_weight 1 its gradient and that of the mean loss are, in expectation, the
  // gradient of E[L - alpha / gates sum_j (1 - g_j)].
  at::Tensor penalty(const State& state, const at::Tensor& sample_losses) override;
  // executed: the part of the gated branches that ran, over all samples.
  NamedValues metrics(const State& state) override;
  bool has_extras() const override { return true; }

  // Of a state: the decisions and log-odds of gate 0, 1, ..., the gate after each block.
  static std::vector<at::Tensor> decisions(const State& state);
  static std::vector<at::Tensor> log_odds(const State& state);

 private:
  at::Tensor decide(const Site& next, const at::Tensor& log_odds) const;
  void run_gate(State& state, const Site& site);

  SkipNetOptions options_;
  Carrier carrier_;
  std::vector<std::shared_ptr<SkipGate>> gates_;  // by the branch that they look at the output of
  std::shared_ptr<GateControl> control_;          // of rnn
  Decide decide_;
};

// skipnet. Parameters at connection.{site whose output is looked at}, connection.control.
void add_skipnet_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
