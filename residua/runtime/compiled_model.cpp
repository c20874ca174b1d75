#include "residua/runtime/compiled_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "residua/core/error.h"
#include "residua/graph/passes/passes.h"
#include "residua/runtime/weight_store.h"

namespace residua {

namespace {

[[noreturn]] void wrong_shape(const Value& input, const Shape& shape, std::string rule) {
  throw Error(ErrorKind::shape, {.where = fmt::format("input '{}'", input.name),
                                 .rule = std::move(rule),
                                 .expected = to_string(input.type.shape),
                                 .received = to_string(shape)});
}

}  // namespace

std::map<std::string, int64_t> sizes_for(const Graph& graph, std::span<const Shape> shapes) {
  if (shapes.size() != graph.inputs.size())
    throw Error(ErrorKind::invalid_argument, {.where = "model",
                                              .rule = "there must be a shape for each input",
                                              .expected = std::to_string(graph.inputs.size()),
                                              .received = std::to_string(shapes.size())});
  std::map<std::string, int64_t> sizes;
  for (const auto& [name, symbol] : graph.symbols) sizes[name] = symbol.size;
  std::map<std::string, int64_t> found;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const Value& input = graph.value(graph.inputs[i]);
    if (shapes[i].size() != input.type.shape.size())
      wrong_shape(input, shapes[i], "the input has another number of axes");
    for (size_t axis = 0; axis < shapes[i].size(); ++axis) {
      const int64_t size = shapes[i][axis];
      const auto rule = std::find_if(graph.axes.begin(), graph.axes.end(), [&](const AxisRule& r) {
        return r.value == graph.inputs[i] && r.axis == static_cast<int64_t>(axis);
      });
      if (rule == graph.axes.end() || rule->rule.factor == 0) {
        if (size != input.type.shape[axis])
          wrong_shape(input, shapes[i], fmt::format("axis {} has one size only", axis));
        continue;
      }
      const int64_t rest = size - rule->rule.offset;
      if (rest % rule->rule.factor != 0)
        wrong_shape(input, shapes[i],
                    fmt::format("axis {} must be {} {} + {}", axis, rule->rule.factor,
                                rule->rule.symbol, rule->rule.offset));
      const int64_t symbol = rest / rule->rule.factor;
      const auto [at, fresh] = found.try_emplace(rule->rule.symbol, symbol);
      if (!fresh && at->second != symbol)
        wrong_shape(
            input, shapes[i],
            fmt::format("axis {} must agree with the other axes of '{}'", axis, rule->rule.symbol));
    }
  }
  for (const auto& [name, size] : found) sizes[name] = size;
  return sizes;
}

// A plan with the sessions that are not running.
struct CompiledModel::Compiled {
  std::shared_ptr<const Plan> plan;
  std::mutex mutex;
  std::vector<std::unique_ptr<Session>> idle;

  std::unique_ptr<Session> take() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        auto session = std::move(idle.back());
        idle.pop_back();
        return session;
      }
    }
    return std::make_unique<Session>(plan);
  }
  void give(std::unique_ptr<Session> session) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(session));
  }
};

CompiledModel::CompiledModel(Graph graph, const PlanOptions& options, size_t most_plans)
    : graph_(std::move(graph)),
      options_(options),
      most_plans_(std::max<size_t>(most_plans, 1)),
      weights_(std::make_shared<WeightStore>()) {
  optimise(graph_);
  compile_first();
}

CompiledModel::CompiledModel(ModelFile file, const PlanOptions& options, size_t most_plans)
    : graph_(std::move(file.graph)),
      options_(options),
      most_plans_(std::max<size_t>(most_plans, 1)),
      weights_(std::make_shared<WeightStore>()) {
  if (file.kind != ModelKind::plan) optimise(graph_);
  compile_first();
}

void CompiledModel::compile_first() {
  std::vector<Shape> shapes;
  for (const ValueId v : graph_.inputs) shapes.push_back(graph_.shape(v));
  compiled_for(shapes);
}

CompiledModel::~CompiledModel() = default;

std::shared_ptr<CompiledModel::Compiled> CompiledModel::compiled_for(
    std::span<const Shape> shapes) {
  const auto sizes = sizes_of(shapes);
  const std::lock_guard lock(mutex_);
  for (auto at = plans_.begin(); at != plans_.end(); ++at)
    if (at->first == sizes) {
      plans_.splice(plans_.begin(), plans_, at);  // the last used is the first
      return at->second;
    }
  auto compiled = std::make_shared<Compiled>();
  compiled->plan = std::make_shared<const Plan>(with_sizes(graph_, sizes), options_, weights_);
  plans_.emplace_front(sizes, compiled);
  if (plans_.size() > most_plans_) plans_.pop_back();
  return compiled;
}

std::shared_ptr<const Plan> CompiledModel::plan_for(std::span<const Shape> shapes) {
  return compiled_for(shapes)->plan;
}

std::vector<TensorData> CompiledModel::run(std::span<const TensorData> inputs) {
  std::vector<Shape> shapes;
  for (const TensorData& input : inputs) shapes.push_back(input.info.shape);
  const auto compiled = compiled_for(shapes);
  const Plan& plan = *compiled->plan;
  std::vector<const void*> from;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& type = plan.input_types()[i];
    const auto where = fmt::format("input '{}'", plan.input_names()[i]);
    if (inputs[i].info.dtype != type.dtype)
      throw Error(ErrorKind::invalid_argument,
                  {.where = where,
                   .rule = "the element type differs from the graph's",
                   .expected = std::string(to_string(type.dtype)),
                   .received = std::string(to_string(inputs[i].info.dtype))});
    const int64_t bytes = checked_bytes(type.shape, type.dtype, where);
    if (static_cast<int64_t>(inputs[i].bytes.size()) != bytes)
      throw Error(ErrorKind::invalid_argument,
                  {.where = where,
                   .rule = "has another number of bytes than its shape needs",
                   .expected = std::to_string(bytes),
                   .received = std::to_string(inputs[i].bytes.size())});
    from.push_back(inputs[i].bytes.data());
  }
  std::vector<TensorData> outputs;
  std::vector<void*> to;
  for (size_t i = 0; i < plan.output_types().size(); ++i) {
    const TensorType& type = plan.output_types()[i];
    const int64_t bytes = checked_bytes(type.shape, type.dtype, plan.output_names()[i]);
    const auto memory = aligned_bytes(bytes);
    to.push_back(memory.get());
    outputs.push_back({{plan.output_names()[i], type.dtype, type.shape},
                       memory,
                       {memory.get(), static_cast<size_t>(bytes)}});
  }
  auto session = compiled->take();
  session->run(from, to);
  compiled->give(std::move(session));
  return outputs;
}

size_t CompiledModel::plans() const {
  const std::lock_guard lock(mutex_);
  return plans_.size();
}

}  // namespace residua
