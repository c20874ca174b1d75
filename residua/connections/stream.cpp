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

void check_runs_again(const Connection& connection) {
  if (connection.runs_again()) return;
  throw Error(ErrorKind::unsupported,
              {.where = "memory",
               .rule = "no plan fits this connection: its sites cannot be run again one by one",
               .hint = "memory=none; a solver saves memory by connection.adjoint=true"});
}

State run_stream(Connection& connection, const at::Tensor& x0, const StreamParts& parts) {
  State state = connection.begin(x0);
  if (parts.memory) check_runs_again(connection);
  if (connection.drives()) {
    connection.drive(state, parts);
    return state;
  }
  if (parts.memory && torch::GradMode::is_enabled() && !parts.visit && !parts.watch) {
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
