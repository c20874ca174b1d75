#include "residua/connections/stream.h"

#include <torch/torch.h>

#include "residua/connections/checkpoint.h"
#include "residua/core/error.h"

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
  if (!connection.takes_late_outputs()) state.wait(State::kBranch);
  if (parts.watch) parts.watch(site, read, y);
  if (site.has_shortcut())
    connection.resize(state, site, [&](const at::Tensor& x) { return parts.shortcut(site, x); });
  connection.merge(state, site, y, read);
  if (!parts.after || connection.activates()) return;
  for (at::Tensor& stream : state.streams) stream = parts.after(stream);
}

}  // namespace

State run_stream(Connection& connection, const at::Tensor& x0, const StreamParts& parts) {
  State state = connection.begin(x0);
  if (connection.drives()) {
    if (parts.memory)
      throw Error(ErrorKind::unsupported,
                  {.where = "memory",
                   .rule = "cannot plan a connection that drives its branches itself",
                   .hint = "memory=none; connection.adjoint=true saves memory in a solver"});
    connection.drive(state, parts);
    return state;
  }
  if (parts.memory && torch::GradMode::is_enabled() && !parts.visit) {
    const auto step = [&connection, parts](int64_t i, State s) {
      step_stream(connection, s, parts.schedule[static_cast<size_t>(i)], parts);
      return s;
    };
    return parts.memory->run(static_cast<int64_t>(parts.schedule.size()), std::move(state), step);
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
