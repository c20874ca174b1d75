#include "residua/trace/trace.h"

#include <torch/torch.h>

#include <fmt/format.h>

#include "residua/core/error.h"
#include "residua/graph/size_rules.h"
#include "residua/trace/dataflow.h"
#include "residua/trace/lowering.h"

namespace residua {

namespace {

int64_t size_of(const SymbolRule& axis, const Sizes& sizes) {
  if (axis.symbol.empty()) return axis.offset;
  const auto found = sizes.find(axis.symbol);
  if (found == sizes.end())
    throw Error(ErrorKind::not_found, {.where = "trace",
                                       .rule = "an axis follows a symbol that has no size",
                                       .received = axis.symbol});
  return axis.factor * found->second + axis.offset;
}

at::Tensor example(const TraceInput& input, const Sizes& sizes, uint64_t seed) {
  Shape shape;
  for (const SymbolRule& axis : input.axes) shape.push_back(size_of(axis, sizes));
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  if (input.dtype == DType::i64) return at::randint(input.ids, shape, generator, at::kLong);
  if (input.dtype != DType::f32)
    throw Error(ErrorKind::unsupported, {.where = input.name,
                                         .rule = "inputs are numbers or ids",
                                         .expected = "f32 or i64",
                                         .received = std::string(to_string(input.dtype))});
  return at::randn(shape, generator);
}

void check_sizes(const std::map<std::string, Symbol>& symbols, const Sizes& sizes) {
  for (const auto& [name, symbol] : symbols)
    if (sizes.at(name) < symbol.min || sizes.at(name) > symbol.max)
      throw Error(ErrorKind::limit, {.where = name,
                                     .rule = "a size outside of its range",
                                     .received = std::to_string(sizes.at(name))});
}

struct Recorded {
  std::vector<at::Tensor> examples = {}, outputs = {};
  std::vector<Call> calls = {};
};

Recorded record(const TracedFunction& function, const std::vector<TraceInput>& inputs,
                const Sizes& sizes, uint64_t seed) {
  Recorded recorded;
  for (const TraceInput& input : inputs) recorded.examples.push_back(example(input, sizes, seed));
  // What libtorch refuses, such as shapes that do not fit, is an error of ours.
  try {
    RecordedCalls run = record_calls(function, recorded.examples);
    recorded.calls = std::move(run.calls);
    recorded.outputs = std::move(run.outputs);
  } catch (const c10::Error& e) {
    throw Error(ErrorKind::unsupported, {.where = "trace",
                                         .rule = "the network does not take an input of this size",
                                         .received = e.what_without_backtrace()});
  }
  return recorded;
}

// What was filled beside libtorch is constant when it is the same for another input.
void check_filled_outside(const TraceLowering& lowering, const Recorded& other) {
  for (const auto& [call, tensor] : lowering.filled_outside()) {
    const auto at = static_cast<size_t>(call);
    const std::vector<at::Tensor> again = at < other.calls.size()
                                              ? tensors_of(other.calls[at].outputs.front())
                                              : std::vector<at::Tensor>{};
    if (again.size() == 1 && again[0].sizes() == tensor.sizes() && at::equal(again[0], tensor))
      continue;
    throw Error(ErrorKind::unsupported,
                {.where = "trace",
                 .rule = "the network reads what a kernel outside of libtorch computed from the "
                         "input, which a trace cannot see",
                 .received = to_string(tensor.sizes().vec()),
                 .hint = "compute it with libtorch's operations where is_tracing()"});
  }
}

Graph trace_once(const TracedFunction& function, const std::vector<TraceInput>& inputs,
                 const std::map<std::string, Symbol>& symbols, const Sizes& sizes,
                 const NamedTensors& named) {
  check_sizes(symbols, sizes);
  const Recorded recorded = record(function, inputs, sizes, 1);
  const Dataflow flow = resolve(recorded.calls, recorded.examples, recorded.outputs);

  GraphBuilder builder;
  for (const auto& [name, symbol] : symbols)
    builder.graph().symbols[name] = {sizes.at(name), symbol.min, symbol.max};
  TraceLowering lowering(flow, builder, named);
  for (size_t i = 0; i < inputs.size(); ++i)
    lowering.input(recorded.examples[i],
                   builder.input(inputs[i].name, inputs[i].dtype,
                                 recorded.examples[i].sizes().vec(), inputs[i].axes));
  lowering.run();
  for (size_t i = 0; i < recorded.outputs.size(); ++i)
    builder.output(i == 0 ? "y" : "y" + std::to_string(i),
                   lowering.value(flow.outputs[i], flow.output_tensors[i]));
  if (!lowering.filled_outside().empty())
    check_filled_outside(lowering, record(function, inputs, sizes, 2));
  return builder.finish();
}

}  // namespace

Graph trace(const TracedFunction& function, const std::vector<TraceInput>& inputs,
            const std::map<std::string, Symbol>& symbols, const NamedTensors& named) {
  const at::NoGradGuard no_grad;
  Sizes sizes;
  for (const auto& [name, symbol] : symbols) sizes[name] = symbol.size;
  SizedGraph traced = find_size_rules(
      sizes, [&](const Sizes& at) { return trace_once(function, inputs, symbols, at, named); });
  for (const auto& [symbol, place] : traced.fixed)
    throw Error(ErrorKind::unsupported,
                {.where = place,
                 .rule = fmt::format("does not follow the size \"{}\" by a rule", symbol),
                 .hint = "trace the network for this size alone"});
  verify(traced.graph);
  return std::move(traced.graph);
}

}  // namespace residua
