// Tensors through a network: each file holds the inputs of one run.

#include <fmt/format.h>

#include <algorithm>

#include "app/progress_line.h"
#include "app/run_parts.h"
#include "residua/core/error.h"
#include "residua/runtime/compiled_model.h"

namespace residua::app {

namespace {

// The file's only tensor where the network has one input, whatever its name; else the one of the
// input's name.
const TensorInfo& info_for(const TensorFile& file, const Graph& graph, const std::string& name) {
  if (graph.inputs.size() == 1 && file.tensors().size() == 1) return file.tensors()[0];
  if (file.contains(name)) return file.info(name);
  std::vector<std::string> names;
  for (const ValueId v : graph.inputs) names.push_back(graph.value(v).name);
  throw Error(ErrorKind::not_found, {.where = file.path(),
                                     .rule = fmt::format("has no tensor for the input '{}'", name),
                                     .expected = fmt::format("{}", fmt::join(names, ", "))});
}

// Of another type where that is of the same kind: reals, or integers.
TensorData input_for(const TensorFile& file, const Graph& graph, const Value& input) {
  TensorData data = file.read(info_for(file, graph, input.name).name);
  const DType from = data.info.dtype, to = input.type.dtype;
  if (from == to) return data;
  const bool same_kind =
      (is_floating(from) && is_floating(to)) || (is_integer(from) && is_integer(to));
  if (!same_kind)
    throw Error(ErrorKind::invalid_argument,
                {.where = fmt::format("{}: {}", file.path(), data.info.name),
                 .rule = fmt::format("cannot become the input '{}'", input.name),
                 .expected = std::string(to_string(to)),
                 .received = std::string(to_string(from))});
  Numbers numbers = read_numbers({from, data.info.shape}, {data.owner, data.bytes});
  numbers.type.dtype = to;
  for (double& number : numbers.data) {
    const double kept = to_nearest(number, to);
    if (is_integer(to) && kept != number)
      throw Error(ErrorKind::invalid_argument,
                  {.where = fmt::format("{}: {}", file.path(), data.info.name),
                   .rule = "holds a number beyond the input's type",
                   .expected = std::string(to_string(to)),
                   .received = fmt::format("{}", number)});
  }
  const ConstantData bytes = write_numbers(numbers);
  data.info.dtype = to;
  data.owner = bytes.owner;
  data.bytes = bytes.bytes;
  return data;
}

}  // namespace

Json run_tensors(const RunArguments& a, ModelFile file, const RunOptions& options,
                 RunTimes& times) {
  if (a.batch > 0)
    throw Error(ErrorKind::invalid_argument,
                {.where = "--batch", .rule = "is used only with images: tensors have their own"});
  double begin = run_clock();
  CompiledModel model(std::move(file), options.plan);
  times.compile = run_clock() - begin;
  Json results = Json::array();
  OutputFile kept;
  const auto count = static_cast<int64_t>(a.inputs.size());
  begin = run_clock();
  ProgressLine progress(count, "file");
  for (const std::string& path : a.inputs) {
    const auto tensors = open_tensor_file(path);
    std::vector<TensorData> inputs;
    for (const ValueId v : model.graph().inputs)
      inputs.push_back(input_for(*tensors, model.graph(), model.graph().value(v)));
    const double before = run_clock();
    const std::vector<TensorData> outputs = model.run(inputs);
    times.runs.push_back(run_clock() - before);
    Json result{{"input", path}, {"outputs", Json::array()}};
    for (const TensorData& output : outputs) {
      const TensorType type{output.info.dtype, output.info.shape};
      Json summary{{"name", output.info.name}};
      summary.update(summary_json(read_numbers(type, {output.owner, output.bytes})));
      result["outputs"].push_back(std::move(summary));
      if (!a.out.empty())
        kept.add(output.info.name, type, output.bytes, type.shape.empty() ? 1 : type.shape[0]);
    }
    results.push_back(std::move(result));
    progress.show(static_cast<int64_t>(results.size()));
  }
  times.all = run_clock() - begin;
  times.items = count;
  if (!a.out.empty()) kept.write(a.out);
  return results;
}

}  // namespace residua::app
