#pragma once
// "Understanding Self-attention Mechanism via Dynamical System Perspective" (Huang et al. 2023,
// arXiv:2308.09939): x_{t+1} = x_t + s f(x_t) is an explicit step of an ordinary differential
// equation, and attention over channels chooses its size s.
//
// attention: s from the increment y = f(x) alone, by a module of its own for each site.
// stepnet: s = sigmoid(W2 relu(W1 norm(u))) from the state and the increment,
//   u = [mean(x), mean(y), mean(y - x) with `difference`, mean|x~ - 2 x + x_{t-1}| with `refine`],
// where x~ = x + y is the provisional next state; means are over positions. At a stage's first site
// x_{t-1} is x.

#include <array>
#include <set>

#include "residua/connections/connection.h"

namespace residua {

enum class ChannelAttentionKind { se, eca, cbam, srm };
template <>
struct EnumNames<ChannelAttentionKind> {
  static constexpr std::array names{"se", "eca", "cbam", "srm"};
};

struct ChannelAttentionOptions {
  ChannelAttentionKind kind = ChannelAttentionKind::se;
  int64_t reduction = 16;
  int64_t kernel = 3;

  void fields(Fields& f);
};

struct StepNetOptions {
  int64_t reduction = 16;
  bool difference = false;
  bool refine = false;

  void fields(Fields& f);
};

// A connection that chooses the size of each step.
class StepSizeConnection : public Connection {
 public:
  // The branches whose steps have size 1 from now on, as if their modules had been taken out.
  void bypass(std::set<int64_t> branches) { bypassed_ = std::move(branches); }
  void merge(State& state, const Site& site, const at::Tensor& y, const Read& read) final;

 protected:
  // The increment x is to take instead of y, and what the state is to remember.
  virtual at::Tensor stepped(State& state, const Site& site, const at::Tensor& y) = 0;

 private:
  std::set<int64_t> bypassed_;
};

// attention: parameters at connection.{site}.{squeeze_excite,eca,cbam,srm}. stepnet: parameters
// at connection.{site}.{norm,fc1,fc2}.
void add_stepnet_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
