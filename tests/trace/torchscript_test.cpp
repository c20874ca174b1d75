// TorchScript files compute what the graph says, read by libtorch alone.
#include "residua/trace/torchscript.h"

#include <gtest/gtest.h>
#include <torch/script.h>

#include <set>

#include "residua/core/error.h"
#include "residua/graph/interpreter.h"
#include "tests/graph/onnx/compare.h"
#include "tests/graph/onnx/sample_graphs.h"
#include "tests/io/fixtures.h"

namespace residua::testing {
namespace {

std::vector<SampleGraph> all_samples() {
  std::vector<SampleGraph> samples = operator_samples();
  for (SampleGraph& sample : network_samples()) samples.push_back(std::move(sample));
  return samples;
}

at::ScalarType tensor_type(DType dtype) {
  return dtype == DType::boolean ? at::kBool
         : dtype == DType::u8    ? at::kByte
         : dtype == DType::i8    ? at::kChar
         : dtype == DType::i32   ? at::kInt
         : dtype == DType::i64   ? at::kLong
         : dtype == DType::f64   ? at::kDouble
                                 : at::kFloat;
}

at::Tensor to_tensor(const Numbers& numbers) {
  return torch::tensor(numbers.data, at::kDouble)
      .reshape(numbers.type.shape)
      .to(tensor_type(numbers.type.dtype));
}

Numbers to_numbers(const at::Tensor& tensor, DType dtype) {
  const at::Tensor flat = tensor.to(at::kDouble).contiguous();
  Numbers numbers;
  numbers.type = {dtype, tensor.sizes().vec()};
  numbers.data.assign(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
  return numbers;
}

std::vector<Numbers> run_script(const Graph& graph, const std::vector<Numbers>& inputs) {
  const TemporaryFolder folder;
  const std::string path = folder.file("network.pt");
  write_torchscript(graph, path);
  torch::jit::Module module = torch::jit::load(path);
  std::vector<c10::IValue> arguments;
  for (const Numbers& input : inputs) arguments.emplace_back(to_tensor(input));
  const c10::IValue result = module.forward(arguments);
  std::vector<at::Tensor> tensors;
  if (result.isTensor())
    tensors = {result.toTensor()};
  else
    for (const c10::IValue& element : result.toTupleRef().elements())
      tensors.push_back(element.toTensor());
  std::vector<Numbers> outputs;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const DType dtype = graph.value(graph.outputs[i]).type.dtype;
    EXPECT_EQ(tensors[i].scalar_type(), tensor_type(dtype));
    outputs.push_back(to_numbers(tensors[i], dtype));
  }
  return outputs;
}

class TorchScriptSample : public ::testing::TestWithParam<SampleGraph> {};

TEST_P(TorchScriptSample, ComputesTheSame) {
  const Graph& graph = GetParam().graph;
  const std::vector<Numbers> inputs = random_inputs(graph, 8);
  // Uneven paddings and fused blocks, which TorchScript has no operation for.
  const std::set<std::string> refused{"average_pool_uncounted", "conv_first_block",
                                      "conv_transpose", "inverted_residual"};
  if (refused.contains(GetParam().name)) {
    EXPECT_THROW(run_script(graph, inputs), Error);
    return;
  }
  expect_equal(run_script(graph, inputs), interpret(graph, inputs), 1e-4, 1e-4);
}

TEST_P(TorchScriptSample, FollowsItsSymbols) {
  std::map<std::string, int64_t> sizes;
  for (const auto& [name, symbol] : GetParam().graph.symbols)
    sizes[name] = std::min(symbol.size + 2, symbol.max);
  if (sizes.empty()) GTEST_SKIP() << "of one size";
  const Graph larger = with_sizes(GetParam().graph, sizes);
  const std::vector<Numbers> inputs = random_inputs(larger, 9);
  expect_equal(run_script(GetParam().graph, inputs), interpret(larger, inputs), 1e-4, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(, TorchScriptSample, ::testing::ValuesIn(all_samples()),
                         [](const auto& i) { return i.param.name; });

}  // namespace
}  // namespace residua::testing
