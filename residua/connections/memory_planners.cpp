// The table of memory plans.

#include <cmath>

#include "residua/connections/memory_plan.h"

namespace residua {

namespace {

struct PlanOptions {
  void fields(Fields&) {}
};

struct SqrtPlanOptions {
  int64_t segment = 0;
  void fields(Fields& f) {
    f.add("segment", segment, "sites of a segment; 0: the root of their number", {.min = 0});
  }
};

struct BudgetPlanOptions {
  double mb = 0;
  void fields(Fields& f) {
    f.add("mb", mb, "the most millions of bytes that may live for backward; 0: as many as needed",
          {.min = 0});
  }
};

struct RecursivePlanOptions {
  int64_t keep = 1;
  void fields(Fields& f) {
    f.add("keep", keep, "states kept at each level; one more part than that", {.min = 1});
  }
};

class NonePlanner final : public MemoryPlanner {
 public:
  MemoryPlan plan(const ChainSizes& sizes) const override {
    return {.segments = {{.begin = 0, .end = sizes.size(), .keep = true}}};
  }
};

class SqrtPlanner final : public MemoryPlanner {
 public:
  explicit SqrtPlanner(int64_t segment) : segment_(segment) {}
  MemoryPlan plan(const ChainSizes& sizes) const override {
    const auto n = static_cast<double>(sizes.size());
    return uniform_plan(sizes.size(),
                        segment_ > 0 ? segment_ : static_cast<int64_t>(std::ceil(std::sqrt(n))));
  }

 private:
  int64_t segment_;
};

class GreedyPlanner final : public MemoryPlanner {
 public:
  MemoryPlan plan(const ChainSizes& sizes) const override { return greedy_plan(sizes); }
  bool needs_sizes() const override { return true; }
};

class BudgetPlanner final : public MemoryPlanner {
 public:
  explicit BudgetPlanner(double mb) : mb_(mb) {}
  MemoryPlan plan(const ChainSizes& sizes) const override {
    if (mb_ == 0) return NonePlanner().plan(sizes);
    return budget_plan(sizes, std::llround(mb_ * 1e6));
  }
  bool needs_sizes() const override { return true; }

 private:
  double mb_;
};

class RecursivePlanner final : public MemoryPlanner {
 public:
  explicit RecursivePlanner(int64_t keep) : keep_(keep) {}
  MemoryPlan plan(const ChainSizes& sizes) const override {
    return recursive_plan(sizes.size(), keep_);
  }

 private:
  int64_t keep_;
};

class SelectivePlanner final : public MemoryPlanner {
 public:
  MemoryPlan plan(const ChainSizes& sizes) const override {
    MemoryPlan plan = uniform_plan(sizes.size(), 1);
    plan.keep_products = true;
    return plan;
  }
};

}  // namespace

Registry<MemoryPlanner>& memory_planners() {
  static Registry<MemoryPlanner> registry = [] {
    Registry<MemoryPlanner> r("memory");
    const char* paper = "sublinear-memory";
    r.add<PlanOptions>({"none", "keep every activation for backward"}, {},
                       [](const PlanOptions&) { return std::make_shared<NonePlanner>(); });
    r.add<SqrtPlanOptions>(
        {"sqrt", "keep the stream at every sqrt(n)-th site and run the rest again", paper}, {},
        [](const SqrtPlanOptions& o) { return std::make_shared<SqrtPlanner>(o.segment); });
    r.add<PlanOptions>({"greedy", "segments of about equal activations, by measured bytes", paper},
                       {}, [](const PlanOptions&) { return std::make_shared<GreedyPlanner>(); });
    r.add<BudgetPlanOptions>(
        {"budget", "the least work done again within a budget, by measured bytes", paper}, {},
        [](const BudgetPlanOptions& o) { return std::make_shared<BudgetPlanner>(o.mb); });
    r.add<RecursivePlanOptions>(
        {"recursive", "segments of segments: log(n) memory, n log(n) work", paper}, {},
        [](const RecursivePlanOptions& o) { return std::make_shared<RecursivePlanner>(o.keep); });
    r.add<PlanOptions>(
        {"selective", "keep products of convolutions and linear layers, redo the cheap rest",
         paper},
        {}, [](const PlanOptions&) { return std::make_shared<SelectivePlanner>(); });
    return r;
  }();
  return registry;
}

}  // namespace residua
