#include "residua/connections/checkpoint.h"

#include <ATen/core/ivalue.h>
#include <torch/torch.h>

#include <unordered_map>

#include "residua/connections/generator_state.h"
#include "residua/connections/graph_leaves.h"
#include "residua/nn/autocast_state.h"
#include "residua/nn/recompute.h"

namespace residua {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A state without its tensors, and which of them are defined.
struct StateShape {
  State names;
  std::vector<bool> defined;

  static StateShape take(State state, variable_list& tensors) {
    while (!state.arrivals.empty()) state.wait(state.arrivals.begin()->first);
    StateShape shape;
    variable_list all = state.flatten();
    for (const at::Tensor& t : all) {
      shape.defined.push_back(t.defined());
      if (t.defined()) tensors.push_back(t);
    }
    shape.names = state.unflatten(variable_list(all.size()));
    return shape;
  }
  State fill(const variable_list& tensors) const {
    variable_list all;
    auto next = tensors.begin();
    for (const bool there : defined) all.push_back(there ? *next++ : at::Tensor());
    return names.unflatten(all);
  }
};

// Gradients of parameters while backward goes from segment to segment. A parameter that several
// segments share (the weights of an LSTM over its steps) has its terms added in the order of
// ordinary training, one after the other, so that the sum is the same to the bit.
class GradientLedger {
 public:
  at::Tensor of(const at::Tensor& leaf) const {
    const auto found = entries_.find(leaf.unsafeGetTensorImpl());
    return found == entries_.end() ? at::Tensor() : found->second.gradient;
  }
  void set(const at::Tensor& leaf, at::Tensor gradient) {
    if (gradient.defined()) entries_[leaf.unsafeGetTensorImpl()] = {leaf, std::move(gradient)};
  }
  // Hands all over to the parameters, as a backward of its own.
  void flush() {
    variable_list leaves, gradients;
    for (auto& [key, entry] : entries_) {
      leaves.push_back(entry.leaf);
      gradients.push_back(std::move(entry.gradient));
    }
    entries_.clear();
    if (!leaves.empty()) torch::autograd::backward(leaves, gradients);
  }

 private:
  struct Entry {
    at::Tensor leaf, gradient;
  };
  std::unordered_map<at::TensorImpl*, Entry> entries_;
};

// What is remembered of a segment between forward and backward, beside the state before it.
struct SegmentRecord : torch::CustomClassHolder {
  PlanSegment segment;
  ChainStep step;
  std::shared_ptr<GradientLedger> ledger;
  bool first = false;  // of the pass: its backward is the last one
  bool keep_products = false;

  StateShape before, after;
  GeneratorState generators;
  AutocastState autocast;
  std::vector<at::Tensor> products;
};
using RecordPointer = c10::intrusive_ptr<SegmentRecord>;

struct ChainPass {
  const ChainStep& step;
  std::shared_ptr<GradientLedger> ledger;
  bool keep_products;
};

State run_segments(const std::vector<PlanSegment>& segments, State state, const ChainPass& pass,
                   bool outermost);

class RunAgain : public torch::autograd::Function<RunAgain> {
 public:
  // `tensors` are those of the state, and one that asks for a gradient so that backward comes here.
  static variable_list forward(AutogradContext* ctx, at::TensorList tensors,
                               const RecordPointer& record) {
    record->autocast = AutocastState::present();
    record->generators = GeneratorState::present(tensors);
    const variable_list inputs(tensors.begin(), tensors.end() - 1);
    State state = record->before.fill(inputs);
    {
      // Casts without history must not be found by those who need it.
      const AutocastStateScope no_cache(record->autocast);
      const KeepProductsScope keep(record->keep_products ? &record->products : nullptr);
      for (int64_t i = record->segment.begin; i < record->segment.end; ++i)
        state = record->step(i, std::move(state));
    }
    record->generators.forget_if_unused();
    variable_list outputs;
    record->after = StateShape::take(state, outputs);
    variable_list unlike;
    for (const at::Tensor& t : outputs)
      if (!at::isFloatingType(t.scalar_type())) unlike.push_back(t);
    ctx->mark_non_differentiable(unlike);
    ctx->save_for_backward(inputs);
    ctx->saved_data["record"] = c10::IValue::make_capsule(record);
    ctx->set_materialize_grads(false);
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto record =
        c10::static_intrusive_pointer_cast<SegmentRecord>(ctx->saved_data["record"].toCapsule());
    variable_list inputs;
    for (const at::Tensor& t : ctx->get_saved_variables())
      inputs.push_back(t.detach().requires_grad_(t.requires_grad()));
    variable_list found = again(*record, inputs, gradients);
    if (record->first) record->ledger->flush();
    found.emplace_back();  // of the tensor that led here
    found.emplace_back();  // of the record
    return found;
  }

 private:
  // The gradients of `inputs`; those of parameters go to the ledger.
  static variable_list again(SegmentRecord& record, const variable_list& inputs,
                             const variable_list& gradients) {
    variable_list outputs = run_again(record, inputs);
    variable_list roots, by_root;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!gradients[i].defined() || !outputs[i].requires_grad()) continue;
      roots.push_back(outputs[i]);
      by_root.push_back(gradients[i]);
    }
    outputs.clear();
    variable_list wanted = graph_leaves(roots);
    std::erase_if(wanted, [&](const at::Tensor& leaf) {
      return std::any_of(inputs.begin(), inputs.end(),
                         [&](const at::Tensor& input) { return input.is_same(leaf); });
    });
    const size_t parameters = wanted.size();
    for (size_t i = 0; i < parameters; ++i) {
      const at::Tensor before = record.ledger->of(wanted[i]);
      if (!before.defined()) continue;
      roots.push_back(wanted[i]);  // comes first into the sum
      by_root.push_back(before);
    }
    for (const at::Tensor& input : inputs)
      if (input.requires_grad()) wanted.push_back(input);
    variable_list found(inputs.size());
    if (roots.empty() || wanted.empty()) return found;
    variable_list all = torch::autograd::grad(roots, wanted, by_root, /*retain_graph=*/false,
                                              /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < parameters; ++i) record.ledger->set(wanted[i], std::move(all[i]));
    size_t next = parameters;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i].requires_grad()) found[i] = std::move(all[next++]);
    return found;
  }

  static variable_list run_again(SegmentRecord& record, const variable_list& inputs) {
    const GeneratorScope generators(record.generators);
    const AutocastStateScope autocast(record.autocast);
    const std::vector<at::Tensor> products = std::move(record.products);  // for one use
    record.products.clear();
    const RecomputeScope recompute(products.empty() ? nullptr : &products);
    const torch::AutoGradMode with_grad(true);
    State state = record.before.fill(inputs);
    const PlanSegment& s = record.segment;
    if (s.parts.empty()) {
      for (int64_t i = s.begin; i < s.end; ++i) state = record.step(i, std::move(state));
    } else {
      state = run_segments(s.parts, std::move(state), {record.step, record.ledger, false}, false);
    }
    variable_list outputs;
    StateShape::take(state, outputs);
    return outputs;
  }
};

State run_segment(const PlanSegment& segment, const State& state, const ChainPass& pass,
                  bool first) {
  const auto record = c10::make_intrusive<SegmentRecord>();
  record->segment = segment;
  record->step = pass.step;
  record->ledger = pass.ledger;
  record->first = first;
  record->keep_products = pass.keep_products;
  variable_list tensors;
  record->before = StateShape::take(state, tensors);
  const at::Tensor leads_here = at::empty({0}, tensors.front().options().dtype(at::kFloat));
  tensors.push_back(leads_here.requires_grad_());
  const at::TensorList list = tensors;
  const variable_list outputs = RunAgain::apply(list, record);
  return record->after.fill(outputs);
}

State run_segments(const std::vector<PlanSegment>& segments, State state, const ChainPass& pass,
                   bool outermost) {
  bool first = outermost;
  for (const PlanSegment& s : segments) {
    if (s.keep) {
      for (int64_t i = s.begin; i < s.end; ++i) state = pass.step(i, std::move(state));
      continue;
    }
    state = run_segment(s, state, pass, first);
    first = false;
  }
  return state;
}

}  // namespace

State run_planned(const MemoryPlan& plan, State state, const ChainStep& step) {
  return run_segments(plan.segments, std::move(state),
                      {step, std::make_shared<GradientLedger>(), plan.keep_products}, true);
}

State StreamMemory::run(int64_t sites, State state, const ChainStep& step) {
  std::vector<int64_t> key{sites};
  for (const at::Tensor& t : state.flatten()) {
    key.push_back(t.defined() ? static_cast<int64_t>(t.scalar_type()) : -1);
    if (t.defined()) key.insert(key.end(), t.sizes().begin(), t.sizes().end());
  }
  auto found = plans_.find(key);
  if (found == plans_.end()) {
    ChainSizes sizes(sites);
    if (planner_->needs_sizes()) sizes = measure_chain(sites, state, step);
    MemoryPlan plan = planner_->plan(sizes);
    found = plans_.emplace(key, Planned{std::move(sizes), std::move(plan)}).first;
  }
  last_ = &found->second;
  return run_planned(last_->plan, std::move(state), step);
}

}  // namespace residua
