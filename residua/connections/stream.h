#pragma once
// One pass of a network over its residual stream.

#include <functional>
#include <vector>

#include "residua/connections/connection.h"

namespace residua {

class StreamMemory;  // checkpoint.h

// The network's side of a pass. The functions may be called again during backward, when the pass is
// over: they must hold by value what belongs to the pass.
struct StreamParts {
  const std::vector<Site>& schedule;
  Connection::Branch branch = {};
  // S(x) of a site that has a shortcut.
  std::function<at::Tensor(const Site&, const at::Tensor& x)> shortcut = {};
  // Applied to every stream after each merge, e.g. the ReLU of post-activation networks.
  std::function<at::Tensor(const at::Tensor&)> after = {};
  // A whole site in one pass over memory, for connections that merge plainly:
  // after(S(x) + branch(x)), or after(branch(x)) for PlainMerge::replace.
  std::function<at::Tensor(const Site&, const at::Tensor& x, PlainMerge)> fused = {};
  // Told what each branch read and gave, before it is merged; then no site is `fused`.
  std::function<void(const Site&, const Read&, const at::Tensor& y)> watch = {};
  // Told the state after each site.
  std::function<void(const Site&, const State&)> visit = {};
  // Says which activations of a pass with gradient are kept; null: all. Not asked where `visit` or
  // `watch` are told, since what they see must have a history.
  StreamMemory* memory = nullptr;
};

// Throws ErrorKind::unsupported for a connection that memory plans do not fit.
void check_runs_again(const Connection& connection);

// The state after the last site; `connection.finish` of it is the network's output.
State run_stream(Connection& connection, const at::Tensor& x0, const StreamParts& parts);

// Goes on from a state with the sites of `parts`; the connection must not drive its branches.
State continue_stream(Connection& connection, State state, const StreamParts& parts);

}  // namespace residua
