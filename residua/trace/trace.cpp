#include "residua/trace/trace.h"

#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/trace/dataflow.h"
#include "residua/trace/lowering.h"
#include "residua/trace/rules.h"

namespace residua {

namespace {

using Sizes = std::map<std::string, int64_t>;

int64_t size_of(const SymbolRule& axis, const Sizes& sizes) {
  if (axis.symbol.empty()) return axis.offset;
  const auto found = sizes.find(axis.symbol);
  if (found == sizes.end())
    throw Error(ErrorKind::not_found, {.where = "trace",
                                       .rule = "an axis follows a symbol that has no size",
                                       .received = axis.symbol});
  return axis.factor * found->second + axis.offset;
}

at::Tensor example(const TraceInput& input, const Sizes& sizes) {
  Shape shape;
  for (const SymbolRule& axis : input.axes) shape.push_back(size_of(axis, sizes));
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(1);
  if (input.dtype == DType::i64) return at::randint(input.ids, shape, generator, at::kLong);
  if (input.dtype != DType::f32)
    throw Error(ErrorKind::unsupported, {.where = input.name,
                                         .rule = "inputs are numbers or ids",
                                         .expected = "f32 or i64",
                                         .received = std::string(to_string(input.dtype))});
  return at::randn(shape, generator);
}

Graph trace_once(const TracedFunction& function, const std::vector<TraceInput>& inputs,
                 const std::map<std::string, TraceSymbol>& symbols, const Sizes& sizes,
                 const NamedTensors& named) {
  std::vector<at::Tensor> examples, outputs;
  for (const TraceInput& input : inputs) examples.push_back(example(input, sizes));
  std::vector<Call> calls = record_calls([&] { outputs = function(examples); });
  const Dataflow flow = resolve(std::move(calls), examples, outputs);

  GraphBuilder builder;
  for (const auto& [name, symbol] : symbols)
    builder.graph().symbols[name] = {sizes.at(name), symbol.min, symbol.max};
  Lowering lowering(flow, builder, named);
  for (size_t i = 0; i < inputs.size(); ++i)
    lowering.input(examples[i], builder.input(inputs[i].name, inputs[i].dtype,
                                              examples[i].sizes().vec(), inputs[i].axes));
  lowering.run();
  for (size_t i = 0; i < outputs.size(); ++i)
    builder.output(i == 0 ? "y" : "y" + std::to_string(i),
                   lowering.value(flow.outputs[i], flow.output_tensors[i]));
  return builder.finish();
}

}  // namespace

NamedTensors named_tensors(const torch::nn::Module& module) {
  NamedTensors named;
  for (const auto& entry : module.named_parameters())
    named.emplace_back(entry.key(), entry.value());
  for (const auto& entry : module.named_buffers()) named.emplace_back(entry.key(), entry.value());
  return named;
}

Graph trace(const TracedFunction& function, const std::vector<TraceInput>& inputs,
            const std::map<std::string, TraceSymbol>& symbols, const NamedTensors& named) {
  const at::NoGradGuard no_grad;
  Sizes sizes;
  for (const auto& [name, symbol] : symbols) sizes[name] = symbol.size;
  Graph graph = trace_once(function, inputs, symbols, sizes, named);
  std::vector<SizedGraph> others;
  for (const auto& [name, symbol] : symbols) {
    Sizes changed = sizes;
    changed[name] = symbol.other;
    others.push_back({name, symbol.other, trace_once(function, inputs, symbols, changed, named)});
  }
  find_rules(graph, others);
  verify(graph);
  return graph;
}

}  // namespace residua
