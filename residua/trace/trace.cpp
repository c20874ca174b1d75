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

void check_sizes(const std::map<std::string, Symbol>& symbols, const Sizes& sizes) {
  for (const auto& [name, symbol] : symbols)
    if (sizes.at(name) < symbol.min || sizes.at(name) > symbol.max)
      throw Error(ErrorKind::limit, {.where = name,
                                     .rule = "a size outside of its range",
                                     .received = std::to_string(sizes.at(name))});
}

// What libtorch refuses, such as shapes that do not fit, as an error of ours.
std::vector<Call> record(const TracedFunction& function, const std::vector<at::Tensor>& examples,
                         std::vector<at::Tensor>& outputs) {
  try {
    return record_calls([&] { outputs = function(examples); });
  } catch (const c10::Error& e) {
    throw Error(ErrorKind::unsupported, {.where = "trace",
                                         .rule = "the network does not take an input of this size",
                                         .received = e.what_without_backtrace()});
  }
}

Graph trace_once(const TracedFunction& function, const std::vector<TraceInput>& inputs,
                 const std::map<std::string, Symbol>& symbols, const Sizes& sizes,
                 const NamedTensors& named) {
  check_sizes(symbols, sizes);
  std::vector<at::Tensor> examples, outputs;
  for (const TraceInput& input : inputs) examples.push_back(example(input, sizes));
  std::vector<Call> calls = record(function, examples, outputs);
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
