#include "residua/connections/ode_connection.h"

#include <torch/torch.h>

#include <map>

#include "residua/connections/ode_adjoint.h"
#include "residua/connections/stream.h"

namespace residua {

namespace {

enum class OdeTime {
  none,
  added,  // a learned vector times t is added to what the branches read
};

}  // namespace

template <>
struct EnumNames<OdeTime> {
  static constexpr std::array names{"none", "added"};
};

namespace {

struct OdeConnectionOptions {
  OdeMethod method = OdeMethod::euler;
  int64_t steps = 0;
  double rtol = 1e-3, atol = 1e-3;
  int64_t share = 1;
  bool adjoint = false;
  bool seminorm = false;
  OdeTime time = OdeTime::none;

  void fields(Fields& f) {
    const Range positive{.min = 0, .open_min = true};
    f.add("method", method, "of the solver; dopri5, bosh3 and adaptive_heun adapt their steps");
    f.add("steps", steps, "fixed steps of a group of blocks; 0: one for each block", {.min = 0});
    f.add("rtol", rtol, "relative tolerance of adaptive methods", positive);
    f.add("atol", atol, "absolute tolerance of adaptive methods", positive);
    f.add("share", share, "neighbouring blocks that have one block's weights", {.min = 1});
    f.add("adjoint", adjoint,
          "gradients by the adjoint equation, in memory that does not grow with the steps");
    f.add("seminorm", seminorm, "the parameters' gradient does not shorten the adjoint's steps");
    f.add("time", time, "how branches learn the time: added: a learned vector times t");
  }
};

// Sites of one block.
using OdeUnit = std::vector<Site>;

// A run of blocks that is solved at once, or one whose shortcut is not the identity.
struct OdeGroup {
  OdeUnit sites;            // with the branches that it runs
  int64_t first_block = 0;  // it stands for blocks first_block, ..., first_block + length - 1
  int64_t length = 0;       // 0: changes the shape
};

std::vector<OdeUnit> units_of(const std::vector<Site>& sites) {
  std::vector<OdeUnit> units;
  for (const Site& site : sites) {
    if (units.empty() || units.back().front().block != site.block) units.emplace_back();
    units.back().push_back(site);
  }
  return units;
}

// The g-th group of a stage has the weights of the stage's g-th block among those that keep the
// shape.
std::vector<OdeGroup> groups_of(const std::vector<Site>& sites, int64_t share) {
  const std::vector<OdeUnit> units = units_of(sites);
  std::vector<OdeGroup> groups;
  for (size_t i = 0; i < units.size();) {
    if (units[i].front().has_shortcut()) {
      groups.push_back({units[i], units[i].front().block, 0});
      ++i;
      continue;
    }
    size_t end = i;
    while (end < units.size() && !units[end].front().has_shortcut() &&
           units[end].front().stage == units[i].front().stage)
      ++end;
    size_t weights = i;
    for (size_t begin = i; begin < end; begin += static_cast<size_t>(share), ++weights)
      groups.push_back({units[weights], units[begin].front().block,
                        std::min<int64_t>(share, static_cast<int64_t>(end - begin))});
    i = end;
  }
  return groups;
}

class OdeConnection final : public Connection {
 public:
  OdeConnection(const OdeConnectionOptions& options, const Carrier& carrier)
      : options_(options), groups_(groups_of(carrier.sites, options.share)) {
    if (carrier.post_activation)
      refuse("ode", carrier,
             "an activation after each block is not part of an equation (order=pre)");
    forward_ = {.method = options_.method, .rtol = options_.rtol, .atol = options_.atol, .step = 1};
    const std::vector<Site> order = numbered(schedule({}));
    auto next = order.begin();
    for (OdeGroup& group : groups_)
      for (Site& site : group.sites) site = *next++;
    int64_t index = 0;
    for (const OdeGroup& group : groups_) {
      if (options_.time == OdeTime::none || group.length == 0) continue;
      const auto own =
          register_module(std::to_string(index++), std::make_shared<Module>("OdeTime"));
      times_.emplace(group.first_block,
                     own->register_parameter("time", torch::zeros({group.sites.front().c_in})));
    }
    channels_first_ = carrier.kind == CarrierKind::cnn;
  }

  std::vector<Site> schedule(const std::vector<Site>&) const override {
    std::vector<Site> sites;
    for (const OdeGroup& group : groups_)
      sites.insert(sites.end(), group.sites.begin(), group.sites.end());
    return sites;
  }

  void init(const Site& site, Module& branch, const Random&) override {
    parameters_of_[site.branch] = branch.parameters();
  }

  bool drives() const override { return true; }
  bool has_extras() const override { return true; }
  void merge(State&, const Site&, const at::Tensor&, const Read&) override {}

  StreamDiagram describe() const override {
    return {.read = "x(t)", .merge = "solves dx/dt = f(x)", .finish = "x(T)"};
  }
  void drive(State& state, const StreamParts& parts) override {
    forward_evaluations_ = 0;
    stats_.resize(groups_.size());
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (groups_[g].length == 0)
        change_shape(state, groups_[g], parts);
      else
        solve(state, g, parts);
    }
  }

  NamedValues metrics(const State&) override {
    NamedValues values{{"evaluations", static_cast<double>(forward_evaluations_)}};
    if (!options_.adjoint) return values;
    int64_t backward = 0;  // of the last backward, which belongs to the pass before this one
    for (const auto& stats : stats_)
      if (stats) backward += stats->backward.evaluations;
    values.emplace_back("evaluations_backward", static_cast<double>(backward));
    return values;
  }

 private:
  void change_shape(State& state, const OdeGroup& group, const StreamParts& parts) {
    for (const Site& site : group.sites) {
      const at::Tensor y = parts.branch(site, state.x(), state);
      state.wait(State::kBranch);
      if (site.has_shortcut()) state.x() = parts.shortcut(site, state.x());
      state.x() = state.x() + y;
      if (parts.visit) parts.visit(site, state);
    }
  }

  OdeField field_of(const OdeGroup& group, const State& state, const StreamParts& parts) const {
    const auto found = times_.find(group.first_block);
    at::Tensor time = found == times_.end() ? at::Tensor() : found->second;
    if (time.defined() && channels_first_) time = time.view({1, -1, 1, 1});
    return [sites = group.sites, branch = parts.branch, state = State(state), time](
               double t, const at::Tensor& x) mutable {
      const at::Tensor input = time.defined() && t != 0 ? x + time * t : x;
      at::Tensor sum;
      for (const Site& site : sites) {
        const at::Tensor y = branch(site, input, state);
        state.wait(State::kBranch);
        sum = sum.defined() ? sum + y : y;
      }
      return sum;
    };
  }

  void solve(State& state, size_t index, const StreamParts& parts) {
    const OdeGroup& group = groups_[index];
    const std::vector<double> times{0, static_cast<double>(group.length)};
    OdeOptions solver = forward_;
    if (options_.steps > 0) solver.step = times.back() / static_cast<double>(options_.steps);
    const OdeField field = field_of(group, state, parts);
    std::vector<at::Tensor> x;
    if (options_.adjoint && torch::GradMode::is_enabled()) {
      auto& stats = stats_[index];
      if (!stats) stats = std::make_shared<AdjointStats>();
      x = odeint_adjoint(
          field, state.x(), torch::tensor(times, at::kDouble), parameters(group),
          {.forward = solver, .backward = solver, .seminorm = options_.seminorm, .stats = stats});
      forward_evaluations_ += stats->forward.evaluations;
    } else {
      OdeStats stats;
      x = odeint(field, state.x(), times, solver, &stats);
      forward_evaluations_ += stats.evaluations;
    }
    state.x() = x.back();
    if (parts.visit) parts.visit(group.sites.back(), state);
  }

  std::vector<at::Tensor> parameters(const OdeGroup& group) const {
    std::vector<at::Tensor> all;
    for (const Site& site : group.sites) {
      const auto& own = parameters_of_.at(site.branch);
      all.insert(all.end(), own.begin(), own.end());
    }
    if (const auto found = times_.find(group.first_block); found != times_.end())
      all.push_back(found->second);
    return all;
  }

  OdeConnectionOptions options_;
  std::vector<OdeGroup> groups_;
  OdeOptions forward_;
  std::map<int64_t, at::Tensor> times_;                       // by first block
  std::map<int64_t, std::vector<at::Tensor>> parameters_of_;  // by branch
  bool channels_first_ = false;
  int64_t forward_evaluations_ = 0;
  std::vector<std::shared_ptr<AdjointStats>> stats_;  // by group
};

}  // namespace

void add_ode_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<OdeConnectionOptions>(
      {"ode", "dx/dt = f(x), by a solver; blocks may share their weights", "neural-ode"}, {},
      [](const OdeConnectionOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<OdeConnection>(o, carrier);
      });
}

}  // namespace residua
