#include "residua/connections/parallel.h"

#include <torch/torch.h>

#include <algorithm>

namespace residua {

namespace {

const std::string kSum = "parallel.sum";

// Units (blocks, or single sites) that may stand side by side: cut at k, at a new stage, and before
// and after a unit that changes the stream's shape.
std::vector<std::vector<std::vector<Site>>> chunks_of(const std::vector<std::vector<Site>>& units,
                                                      int64_t k) {
  const auto reshapes = [](const std::vector<Site>& unit) {
    return std::ranges::any_of(unit, &Site::has_shortcut);
  };
  std::vector<std::vector<std::vector<Site>>> chunks;
  for (const std::vector<Site>& unit : units) {
    const bool joins = !chunks.empty() && static_cast<int64_t>(chunks.back().size()) < k &&
                       !reshapes(unit) && !reshapes(chunks.back().back()) &&
                       chunks.back().back().front().stage == unit.front().stage;
    if (!joins) chunks.emplace_back();
    chunks.back().push_back(unit);
  }
  return chunks;
}

struct ParallelOptions {
  int64_t k = 2;
  ParallelKinds kinds = ParallelKinds::same;
  double drop_path = 0;
  void fields(Fields& f) {
    f.add("k", k, "branches of a group", {.min = 1});
    f.add("kinds", kinds,
          "same: attentions beside attentions, MLPs beside MLPs; mixed: branches that follow one "
          "another, so that k=2 puts an attention beside its MLP");
    f.add("drop_path", drop_path,
          "part of the samples for which training leaves out a branch, each on its own; the others "
          "count so much more",
          {.min = 0, .max = 1, .open_max = true});
  }
};

class ParallelConnection final : public Connection {
 public:
  ParallelConnection(const ParallelOptions& options, const Carrier& carrier)
      : drop_path_(options.drop_path),
        groups_(parallel_groups(carrier.sites, options.k, options.kinds)),
        last_(carrier.sites.size()),
        alone_(carrier.sites.size()),
        collective_(carrier.collective) {
    for (const std::vector<Site>& group : groups_) {
      last_[static_cast<size_t>(group.back().branch)] = true;
      alone_[static_cast<size_t>(group.back().branch)] = group.size() == 1;
    }
  }

  std::vector<Site> schedule(const std::vector<Site>&) const override {
    std::vector<Site> order;
    for (const std::vector<Site>& group : groups_)
      order.insert(order.end(), group.begin(), group.end());
    return order;
  }

  StreamDiagram describe() const override { return {.merge = "x + f1(x) + ... + fk(x)"}; }

  // One sum over the ranks for each group.
  bool sums_ranks() const override { return true; }

  void merge(State& state, const Site& site, const at::Tensor& y, const Read&) override {
    at::Tensor& sum = state.memo[kSum];
    const at::Tensor kept = drop_path_ > 0 && is_training() ? y * kept_samples(y) : y;
    sum = sum.defined() ? sum + kept : kept;
    if (!last_[static_cast<size_t>(site.branch)]) return;
    if (collective_) {
      sum = sum.contiguous();
      collective_->sum(sum);
    }
    state.x() = state.x() + sum;
    state.memo.erase(kSum);
  }

  at::Tensor finish(const State& state) override {
    const auto sum = state.memo.find(kSum);
    return sum == state.memo.end() ? state.x() : state.x() + sum->second;
  }

  PlainMerge plain_merge(const Site& site) const override {
    const bool plain = alone_[static_cast<size_t>(site.branch)] && drop_path_ == 0;
    return plain ? PlainMerge::sum : PlainMerge::no;
  }

 private:
  // 1 / (1 - p) for the samples that keep the branch, 0 for the others. [N, 1, ...]
  at::Tensor kept_samples(const at::Tensor& y) const {
    std::vector<int64_t> shape(static_cast<size_t>(y.dim()), 1);
    shape[0] = y.size(0);
    return at::empty(shape, y.options().requires_grad(false))
        .bernoulli_(1 - drop_path_)
        .div_(1 - drop_path_);
  }

  double drop_path_;
  std::vector<std::vector<Site>> groups_;
  std::vector<bool> last_, alone_;  // of its group, by branch
  Collective* collective_;
};

}  // namespace

std::vector<std::vector<Site>> parallel_groups(const std::vector<Site>& sites, int64_t k,
                                               ParallelKinds kinds) {
  std::vector<std::vector<Site>> units;
  for (const Site& site : sites) {
    const bool same_unit =
        kinds == ParallelKinds::same && !units.empty() && units.back().back().block == site.block;
    if (!same_unit) units.emplace_back();
    units.back().push_back(site);
  }
  std::vector<std::vector<Site>> groups;
  for (const auto& chunk : chunks_of(units, k)) {
    const size_t rows = chunk.front().size();
    for (size_t row = 0; row < rows; ++row) {
      groups.emplace_back();
      for (const std::vector<Site>& unit : chunk) groups.back().push_back(unit.at(row));
    }
  }
  return groups;
}

void add_parallel_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<ParallelOptions>(
      {"parallel", "k branches read the same stream: x + f_1(x) + ... + f_k(x)",
       "three-things-vit"},
      {}, [](const ParallelOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<ParallelConnection>(o, carrier);
      });
}

}  // namespace residua
