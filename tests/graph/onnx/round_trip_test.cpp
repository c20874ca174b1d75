// What is written is accepted by libonnx, read back it computes the same, and so does ONNX Runtime.
#include <gtest/gtest.h>

#include <set>

#include "residua/graph/interpreter.h"
#include "residua/graph/onnx/onnx.h"
#include "tests/graph/onnx/compare.h"
#include "tests/graph/onnx/onnx_check.h"
#include "tests/graph/onnx/sample_graphs.h"
#include "tests/io/fixtures.h"
#include "tests/peers/onnx_runtime.h"

namespace residua::testing {
namespace {

std::vector<SampleGraph> all_samples() {
  std::vector<SampleGraph> samples = operator_samples();
  for (SampleGraph& sample : network_samples()) samples.push_back(std::move(sample));
  return samples;
}

const SampleGraph& sample(const std::string& name) {
  static const std::vector<SampleGraph> samples = all_samples();
  for (const SampleGraph& s : samples)
    if (s.name == name) return s;
  throw std::runtime_error("no sample " + name);
}

std::vector<std::string> sample_names() {
  std::vector<std::string> names;
  for (const SampleGraph& s : all_samples()) names.push_back(s.name);
  return names;
}

class OnnxSample : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { write_onnx(graph(), path()); }
  const Graph& graph() const { return sample(GetParam()).graph; }
  std::string path() const { return folder_.file("model.onnx"); }

 private:
  TemporaryFolder folder_;
};

TEST_P(OnnxSample, IsAcceptedByTheFullChecker) { EXPECT_EQ(onnx_objection(path()), ""); }

// 1e-5: constants such as eps are rounded to f32 in the file.
TEST_P(OnnxSample, ComputesTheSameWhenReadBack) {
  std::map<std::string, int64_t> sizes;
  for (const auto& [name, symbol] : graph().symbols) sizes[name] = symbol.size;
  const OnnxModel read = read_onnx(path(), {.sizes = sizes});
  EXPECT_EQ(read.fixed.size(), GetParam() == "open_cells" ? 1u : 0u);
  const std::vector<Numbers> inputs = random_inputs(graph(), 7);
  expect_equal(interpret(read.graph, inputs), interpret(graph(), inputs), 1e-5, 1e-5);
}

TEST_P(OnnxSample, ComputesTheSameInOnnxRuntime) {
  if (!peers::OnnxRuntime::library()) GTEST_SKIP() << "ONNX Runtime is not installed";
  const std::vector<Numbers> inputs = random_inputs(graph(), 8);
  expect_equal(run_peer(path(), inputs), interpret(graph(), inputs), 1e-3, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Onnx, OnnxSample, ::testing::ValuesIn(sample_names()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

TEST(OnnxSamples, CoverEveryOperator) {
  std::set<size_t> seen;
  for (const SampleGraph& s : all_samples())
    for (const Node& node : s.graph.nodes) seen.insert(node.operation.index());
  EXPECT_EQ(seen.size(), std::variant_size_v<Operation>);
}

// Every symbol at other sizes, in the graph that was read and in ONNX Runtime.
class OnnxSizes : public ::testing::TestWithParam<std::string> {};

TEST_P(OnnxSizes, FollowSymbols) {
  TemporaryFolder folder;
  const std::string path = folder.file("model.onnx");
  const Graph& graph = sample(GetParam()).graph;
  write_onnx(graph, path);
  std::map<std::string, int64_t> read_sizes;
  for (const auto& [name, symbol] : graph.symbols)
    read_sizes[name] = name == "tokens" ? 5 : name == "batch" ? 1 : 64;
  const OnnxModel read = read_onnx(path, {.sizes = read_sizes});
  for (const auto& [name, symbol] : graph.symbols) {
    const bool is_fixed = GetParam() == "open_cells" && name == "height";
    ASSERT_EQ(read.graph.symbols.contains(name), !is_fixed) << name;
    const int64_t size = name == "batch" ? 3 : name == "tokens" ? 9 : 96;
    std::map<std::string, int64_t> sizes;
    for (const auto& [other, now] : graph.symbols) sizes[other] = now.size;
    sizes[name] = size;
    const Graph wanted = with_sizes(graph, sizes);
    const std::vector<Numbers> inputs = random_inputs(wanted, 9);
    const std::vector<Numbers> expected = interpret(wanted, inputs);
    std::erase_if(sizes, [&](const auto& s) { return !read.graph.symbols.contains(s.first); });
    if (GetParam() != "open_cells")
      expect_equal(interpret(with_sizes(read.graph, sizes), inputs), expected, 1e-5, 1e-5);
    if (peers::OnnxRuntime::library()) expect_equal(run_peer(path, inputs), expected, 1e-3, 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Onnx, OnnxSizes,
                         ::testing::Values("open_sizes", "open_cells", "residual_network",
                                           "vision_transformer", "language_model"));

TEST(OnnxExternalData, LiesBesideTheModelAndIsReadBack) {
  TemporaryFolder folder;
  const std::string path = folder.file("model.onnx");
  const Graph& graph = sample("vision_transformer").graph;
  write_onnx(graph, path, {.external_above = 100});
  EXPECT_TRUE(std::filesystem::exists(path + ".data"));
  EXPECT_EQ(onnx_objection(path), "");
  const std::vector<Numbers> inputs = random_inputs(graph, 5);
  const std::vector<Numbers> expected = interpret(graph, inputs);
  const OnnxModel read = read_onnx(path, {.sizes = {{"batch", 2}}});
  expect_equal(interpret(read.graph, inputs), expected, 1e-5, 1e-5);
  if (peers::OnnxRuntime::library()) expect_equal(run_peer(path, inputs), expected, 1e-3, 1e-4);
}

}  // namespace
}  // namespace residua::testing
