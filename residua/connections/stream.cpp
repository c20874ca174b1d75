#include "residua/connections/stream.h"

#include <torch/torch.h>

namespace residua {

namespace {

void step_stream(Connection& connection, State& state, const Site& site, const StreamParts& parts) {
  const PlainMerge plain =
      parts.fused && !parts.watch ? connection.plain_merge(site) : PlainMerge::no;
  if (plain != PlainMerge::no) {
    state.x() = parts.fused(site, state.x(), plain);
    return;
  }
  const Read read = connection.read(state, site);
  at::Tensor y;
  if (read.run) y = parts.branch(site, read.input, state);
  if (parts.watch) parts.watch(site, read, y);
  if (!connection.takes_late_outputs()) state.wait(State::kBranch);
  if (site.changes_shape())
    connection.resize(state, site, [&](const at::Tensor& x) { return parts.shortcut(site, x); });
  connection.merge(state, site, y, read);
  if (!parts.after) return;
  for (at::Tensor& stream : state.streams) stream = parts.after(stream);
}

}  // namespace

State run_stream(Connection& connection, const at::Tensor& x0, const StreamParts& parts) {
  State state = connection.begin(x0);
  if (connection.drives()) {
    connection.drive(state, parts.schedule, parts.branch);
    return state;
  }
  return continue_stream(connection, std::move(state), parts);
}

State continue_stream(Connection& connection, State state, const StreamParts& parts) {
  for (const Site& site : parts.schedule) {
    step_stream(connection, state, site, parts);
    if (parts.visit) parts.visit(site, state);
  }
  return state;
}

}  // namespace residua
