// Models in the forms that other exporters write, of several opsets: what is read computes what
// ONNX Runtime computes, and numbers that shape computations give follow the symbols.
#include <gtest/gtest.h>

#include "residua/graph/interpreter.h"
#include "residua/graph/onnx/onnx.h"
#include "residua/io/atomic_file.h"
#include "tests/graph/onnx/compare.h"
#include "tests/graph/onnx/onnx_check.h"
#include "tests/graph/onnx/sample_graphs.h"
#include "tests/io/fixtures.h"

namespace residua::testing {
namespace {

struct ForeignModel {
  const char* name;
  int opset;
  const char* graph;
};

const ForeignModel kForeignModels[] = {
    {"conv_same_upper", 11,
     "(float[N,4,7,6] X, float[6,2,3,3] W) => (float[N,6,4,3] Y) { Y = Conv <group = 2, strides = "
     "[2,2], auto_pad = \"SAME_UPPER\"> (X, W) }"},
    {"conv_same_lower", 11,
     "(float[N,4,7,6] X, float[6,4,2,3] W) => (float[N,6,7,6] Y) { Y = Conv <auto_pad = "
     "\"SAME_LOWER\"> (X, W) }"},
    {"gemm", 13,
     "(float[3,4] A, float[5,3] B, float[5] C) => (float[4,5] Y) { Y = Gemm <alpha = 0.5, beta = "
     "2.0, transA = 1, transB = 1> (A, B, C) }"},
    {"gemm_linear", 9,
     "(float[N,4] A, float[4,5] B, float[5] C) => (float[N,5] Y) { Y = Gemm (A, B, C) }"},
    {"matmul_list", 13,
     "(float[4] A, float[3,4,5] B, float[5] C) => (float[3] Y) { D = MatMul (A, B) Y = MatMul (D, "
     "C) }"},
    {"instance_norm", 9,
     "(float[N,3,4,5] X, float[3] S, float[3] B) => (float[N,3,4,5] Y) { Y = "
     "InstanceNormalization <epsilon = 0.001> (X, S, B) }"},
    {"layer_norm", 17,
     "(float[N,T,6] X, float[6] S, float[6] B) => (float[N,T,6] Y) { Y = LayerNormalization (X, S, "
     "B) }"},
    {"local_response", 13,
     "(float[N,6,4,4] X) => (float[N,6,4,4] Y) { Y = LRN <size = 3, alpha = 0.5, beta = 0.6, bias "
     "= 2.0> (X) }"},
    {"average_pool", 11,
     "(float[N,2,7,7] X) => (float[N,2,4,4] Y) { Y = AveragePool <kernel_shape = [3,3], strides = "
     "[2,2], pads = [1,1,1,1]> (X) }"},
    {"clip_attribute", 9,
     "(float[N,3] X) => (float[N,3] Y) { Y = Clip <min = -0.5, max = 0.25> (X) }"},
    {"clip_input", 13,
     "(float[N,3] X) => (float[N,3] Y) { a = Constant <value_float = 0.1> () Y = Clip (X, a) }"},
    {"prelu", 9, "(float[N,3,2] X, float[3,1] S) => (float[N,3,2] Y) { Y = PRelu (X, S) }"},
    {"hard_sigmoid", 9, "(float[N,3] X) => (float[N,3] Y) { Y = HardSigmoid <alpha = 0.3> (X) }"},
    {"softmax_flattened", 11,
     "(float[N,3,4] X) => (float[N,3,4] Y) { Y = Softmax <axis = 1> (X) }"},
    {"softmax_axis", 13, "(float[N,3,4] X) => (float[N,3,4] Y) { Y = Softmax <axis = 1> (X) }"},
    {"reduce_attribute", 11,
     "(float[N,3,4] X) => (float[N,4] Y, float[N,1,4] Z) { Y = ReduceSum <axes = [1], keepdims = "
     "0> (X) Z = ReduceL1 <axes = [1]> (X) }"},
    {"reduce_input", 13,
     "(float[N,3,4] X) => (float[N,4] Y, float[N] Z) { a = Constant <value_ints = [1]> () Y = "
     "ReduceSum <keepdims = 0> (X, a) Z = ReduceLogSumExp <axes = [1,2], keepdims = 0> (X) }"},
    {"reduce_square", 13,
     "(float[N,3,4] X) => (float[N,3] Y) { Y = ReduceSumSquare <axes = [-1], keepdims = 0> (X) }"},
    {"arg_min", 13, "(float[N,5] X) => (int64[N] Y) { Y = ArgMin <axis = 1, keepdims = 0> (X) }"},
    {"many", 13,
     "(float[N,3] A, float[N,3] B, float[N,3] C) => (float[N,3] X, float[N,3] Y, float[N,3] Z) { X "
     "= Max (A, B, C) Y = Mean (A, B, C) Z = Sum (A, B, C) }"},
    {"squeeze_attribute", 11,
     "(float[N,1,3] X) => (float[N,3] Y, float[N,1,3,1] Z) { Y = Squeeze <axes = [1]> (X) Z = "
     "Unsqueeze <axes = [1, 3]> (Y) }"},
    {"split", 13,
     "(float[N,7] X) => (float[N,2] A, float[N,5] B) { s = Constant <value_ints = [2,5]> () A, B "
     "= Split <axis = 1> (X, s) }"},
    {"split_even", 11,
     "(float[N,6] X) => (float[N,3] A, float[N,3] B) { A, B = Split <axis = -1> (X) }"},
    {"slice_attribute", 9,
     "(float[N,6] X) => (float[N,3] Y) { Y = Slice <axes = [1], starts = [1], ends = [-2]> (X) }"},
    {"slice_backwards", 13,
     "(float[N,6] X) => (float[N,3] Y) { s = Constant <value_ints = [-1]> () e = Constant "
     "<value_ints = [-100]> () a = Constant <value_ints = [1]> () t = Constant <value_ints = "
     "[-2]> () Y = Slice (X, s, e, a, t) }"},
    {"pad_attribute", 9,
     "(float[N,3] X) => (float[N,6] Y) { Y = Pad <pads = [0,1,0,2], value = 0.5> (X) }"},
    {"pad_and_cut", 13,
     "(float[N,4] X) => (float[N,5] Y) { p = Constant <value_ints = [0,-1,0,2]> () Y = Pad <mode "
     "= \"reflect\"> (X, p) }"},
    {"tile", 13,
     "(float[N,1,3] X) => (float[N,4,6] Y) { r = Constant <value_ints = [1,4,2]> () Y = Tile (X, "
     "r) }"},
    {"expand_both_ways", 13,
     "(float[N,1,3] X) => (float[N,4,3] Y) { r = Constant <value_ints = [4,1]> () Y = Expand (X, "
     "r) }"},
    {"depth_to_space", 13,
     "(float[N,8,2,3] X) => (float[N,2,4,6] Y, float[N,8,2,3] Z) { Y = DepthToSpace <blocksize = "
     "2> (X) Z = SpaceToDepth <blocksize = 2> (Y) }"},
    {"upsample_scales", 10,
     "(float[N,2,3,4] X) => (float[N,2,6,8] Y) { s = Constant <value = float[4] {1.0, 1.0, 2.0, "
     "2.0}> () Y = Resize <mode = \"nearest\"> (X, s) }"},
    {"resize_nearest_rounded", 13,
     "(float[N,2,5,4] X) => (float[N,2,7,3] Y) { s = Constant <value = float[4] {1.0, 1.0, 1.4, "
     "0.75}> () Y = Resize <mode = \"nearest\"> (X, , s) }"},
    {"resize_half_pixel", 13,
     "(float[N,2,5,4] X) => (float[N,2,10,8] Y) { s = Constant <value = float[4] {1.0, 1.0, 2.0, "
     "2.0}> () Y = Resize <mode = \"linear\", coordinate_transformation_mode = "
     "\"pytorch_half_pixel\"> (X, , s) }"},
    {"range_float", 13,
     "(float[N,4] X) => (float[N,4] Y) { a = Constant <value_float = 0.5> () b = Constant "
     "<value_float = 2.5> () c = Constant <value_float = 0.5> () r = Range (a, b, c) Y = Add (X, "
     "r) }"},
    {"flatten_by_shape", 13,
     "(float[N,3,T] X) => (float[N,M] Y) { s = Shape (X) z = Constant <value_int = 0> () n = "
     "Gather <axis = 0> (s, z) a = Constant <value_ints = [0]> () u = Unsqueeze (n, a) m = "
     "Constant <value_ints = [-1]> () t = Concat <axis = 0> (u, m) Y = Reshape (X, t) }"},
    {"heads_by_shape", 14,
     "(float[N,T,12] X) => (float[N,T,3,4] Y) { s = Shape (X) a = Constant <value_ints = [0]> () "
     "b = Constant <value_ints = [2]> () c = Slice (s, a, b) h = Constant <value_ints = [3]> () "
     "d = Constant <value_ints = [2]> () e = Constant <value_ints = [3]> () w = Slice (s, d, e) q "
     "= Div (w, h) t = Concat <axis = 0> (c, h, q) Y = Reshape (X, t) }"},
    {"positions_by_shape", 13,
     "(float[N,T,4] X) => (float[N,T,4] Y) { s = Shape (X) i = Constant <value_int = 1> () n = "
     "Gather <axis = 0> (s, i) z = Constant <value_int = 0> () r = Range (z, n, i) f = Cast <to = "
     "1> (r) a = Constant <value_ints = [1]> () u = Unsqueeze (f, a) Y = Add (X, u) }"},
    {"mask_by_shape", 14,
     "(float[N,T,T] X) => (float[N,T,T] Y) { s = Shape (X) z = ConstantOfShape <value = float[1] "
     "{1.0}> (s) k = Constant <value_int = 0> () m = Trilu <upper = 0> (z, k) Y = Mul (X, m) }"},
    {"scale_by_shape", 13,
     "(float[N,T,4] X) => (float[N,T,4] Y) { s = Shape (X) i = Constant <value_int = 1> () n = "
     "Gather <axis = 0> (s, i) f = Cast <to = 1> (n) q = Sqrt (f) Y = Div (X, q) }"},
    {"size", 13,
     "(float[N,T] X) => (float[N,T] Y) { n = Size (X) f = Cast <to = 1> (n) Y = Div (X, f) }"},
    {"branch", 13,
     "(float[N,1,4] X) => (float[N,4] Y) { s = Shape (X) i = Constant <value_int = 1> () n = "
     "Gather <axis = 0> (s, i) c = Equal (n, i) Y = If (c) <then_branch = yes () => (float[N,4] A) "
     "{ a = Constant <value_ints = [1]> () A = Squeeze (X, a) }, else_branch = no () => "
     "(float[N,4] B) { B = ReduceSum <keepdims = 0> (X) }> }"},
    {"dropout", 13, "(float[N,4] X) => (float[N,4] Y) { Y = Dropout (X) }"},
    {"quantised", 13,
     "(float[N,4] X) => (float[N,4] Y) { s = Constant <value_float = 0.05> () z = Constant <value "
     "= uint8 {100}> () q = QuantizeLinear (X, s, z) Y = DequantizeLinear (q, s, z) }"},
    {"xor", 13,
     "(float[N,4] X, float[N,4] Z) => (bool[N,4] Y) { a = Greater (X, Z) b = LessOrEqual (X, Z) c "
     "= Xor (a, b) d = Not (c) Y = Or (d, a) }"},
};

class OnnxForeign : public ::testing::TestWithParam<ForeignModel> {};

TEST_P(OnnxForeign, ComputesWhatOnnxRuntimeComputes) {
  if (!peers::OnnxRuntime::library()) GTEST_SKIP() << "ONNX Runtime is not installed";
  TemporaryFolder folder;
  const std::string path = folder.file("model.onnx");
  write_file_atomic(path, std::string_view(onnx_from_text(GetParam().graph, GetParam().opset)));
  const OnnxModel model = read_onnx(path, {.default_size = 2});
  EXPECT_TRUE(model.fixed.empty())
      << model.fixed.begin()->first << " " << model.fixed.begin()->second;
  for (const auto& [batch, tokens] : {std::pair(2, 2), std::pair(1, 7), std::pair(4, 1)}) {
    std::map<std::string, int64_t> sizes;
    for (const auto& [name, symbol] : model.graph.symbols)
      sizes[name] = name == "N" ? batch : tokens;
    const Graph graph = with_sizes(model.graph, sizes);
    const std::vector<Numbers> inputs = random_inputs(graph, 3);
    expect_equal(interpret(graph, inputs), run_peer(path, inputs), 1e-3, 1e-4);
    if (sizes.empty()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Onnx, OnnxForeign, ::testing::ValuesIn(kForeignModels),
                         [](const auto& info) { return std::string(info.param.name); });

OwnedBytes owned(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return own_bytes({bytes.begin(), bytes.end()});
}

TEST(OnnxRead, NamesAnUnknownOperatorWithItsNode) {
  const std::string model =
      onnx_from_text("(float[2] X) => (float[2] out7) { out7 = NonMaxSuppression (X) }", 13);
  const Error error = error_of([&] { parse_onnx(owned(model), "m.onnx"); });
  EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  EXPECT_NE(std::string(error.what()).find("NonMaxSuppression 'out7'"), std::string::npos)
      << error.what();
}

TEST(OnnxRead, RefusesAnAttributeItDoesNotUnderstand) {
  const std::string model =
      onnx_from_text("(float[2] X) => (float[2] Y) { Y = Relu <slope = 2> (X) }", 13);
  const Error error = error_of([&] { parse_onnx(owned(model), "m.onnx"); });
  EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  EXPECT_NE(std::string(error.what()).find("'slope'"), std::string::npos) << error.what();
}

TEST(OnnxRead, FixesADimensionThatANumberDoesNotFollow) {
  const std::string model = onnx_from_text(
      "(float[N,4] X) => (float[M] Y) { s = Shape (X) z = Constant <value_int = 0> () n = Gather "
      "<axis = 0> (s, z) q = Mul (n, n) k = Constant <value_int = 1> () r = Range (z, q, k) Y = "
      "Cast <to = 1> (r) }",
      13);
  const OnnxModel read = parse_onnx(owned(model), "m.onnx", {.sizes = {{"N", 3}}});
  EXPECT_TRUE(read.fixed.contains("N"));
  EXPECT_TRUE(read.graph.symbols.empty());
  EXPECT_EQ(read.graph.shape(read.graph.outputs[0]), Shape{9});
}

TEST(OnnxRead, RefusesASizeOfAnUnknownDimension) {
  const std::string model =
      onnx_from_text("(float[batch] X) => (float[batch] Y) { Y = Relu (X) }", 13);
  const Error error = error_of([&] {
    parse_onnx(owned(model), "m.onnx", {.sizes = {{"bach", 3}}});
  });
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_NE(std::string(error.what()).find("batch"), std::string::npos) << error.what();
}

TEST(OnnxRead, NamesOpenDimensions) {
  const std::string model = onnx_from_text("(float[?,T] X) => (float[?,T] Y) { Y = Relu (X) }", 13);
  const OnnxModel read = parse_onnx(owned(model), "m.onnx", {.default_size = 4});
  EXPECT_TRUE(read.graph.symbols.contains("X.0"));
  EXPECT_TRUE(read.graph.symbols.contains("T"));
}

}  // namespace
}  // namespace residua::testing
