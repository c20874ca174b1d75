// Convolutions and products of plans against the reference interpreter.
#include <filesystem>
#include <fstream>

#include "tests/runtime/plan_check.h"

namespace residua {
namespace {

struct ConvCase {
  Shape x, weight;
  op::Conv conv;
  bool bias = true, summand = false;
};

Graph conv_graph(const ConvCase& c) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, c.x), w = random_constant(b, c.weight, 1);
  std::vector<ValueId> inputs{x, w, c.bias ? random_constant(b, {c.weight[0]}, 2) : kNoValue};
  if (c.summand) {
    const ValueId plain = b.add(c.conv, {x, w});
    inputs.push_back(b.add(op::Unary{{UnaryKind::sin}}, {plain}));
  }
  b.output("y", b.add(c.conv, inputs));
  return b.finish();
}

const std::vector<ConvCase>& conv_cases() {
  static const std::vector<ConvCase> cases{
      {{2, 3, 9, 7}, {16, 3, 3, 3}, {.padding = {1, 1, 1, 1}}},
      {{1, 16, 8, 8}, {32, 16, 1, 1}, {}, false},
      {{1, 17, 9, 8}, {19, 17, 3, 3}, {.stride = {2, 2}, .padding = {1, 1, 1, 1}}},
      {{2, 5, 6, 11}, {3, 5, 2, 3}, {.padding = {0, 1, 1, 1}, .dilation = {2, 2}}},
      {{1, 12, 7, 7}, {12, 1, 3, 3}, {.padding = {1, 1, 1, 1}, .groups = 12}},
      {{1, 16, 7, 7}, {32, 4, 3, 3}, {.padding = {1, 1, 1, 1}, .groups = 4}},
      {{2, 4, 15}, {6, 4, 5}, {.stride = {2}, .padding = {2, 2}, .dilation = {1}}},
      {{1, 3, 4, 5, 6},
       {8, 3, 2, 2, 2},
       {.stride = {1, 1, 1}, .padding = {0, 0, 0, 1, 1, 1}, .dilation = {1, 1, 1}}},
      {{1, 16, 6, 6}, {16, 16, 3, 3}, {.padding = {1, 1, 1, 1}, .activation = {UnaryKind::relu}}},
      {{1, 16, 6, 6}, {24, 16, 1, 1}, {.activation = {UnaryKind::relu}}, true, true},
      {{2, 10, 6, 5}, {18, 10, 1, 1}, {.activation = {UnaryKind::gelu}}, true, true},
  };
  return cases;
}

TEST(PlanConv, EqualsTheInterpreter) {
  for (const ConvCase& c : conv_cases()) {
    const Graph graph = conv_graph(c);
    EXPECT_LE(plan_error(graph), kFp32) << to_text(graph) << kernels_of(graph);
  }
}

// bfloat16 keeps 8 bits: 2^-9 of each factor, twice, against a scale of the largest output.
TEST(PlanConv, InBfloat16) {
  for (const ConvCase& c : conv_cases()) {
    const Graph graph = conv_graph(c);
    const PlanOptions options{.dtype = PlanDType::bf16};
    EXPECT_LE(plan_error(graph, options), 0.02) << to_text(graph) << kernels_of(graph, options);
  }
}

TEST(PlanConv, ActivationsFollow) {
  for (size_t i = 0; i < EnumNames<UnaryKind>::names.size(); ++i) {
    const auto kind = static_cast<UnaryKind>(i);
    if (kind == UnaryKind::logical_not || kind == UnaryKind::floor || kind == UnaryKind::ceil ||
        kind == UnaryKind::round || kind == UnaryKind::sign || kind == UnaryKind::log ||
        kind == UnaryKind::log1p || kind == UnaryKind::sqrt || kind == UnaryKind::rsqrt ||
        kind == UnaryKind::reciprocal)
      continue;  // jump, or are not defined, at some numbers of a sum
    const Graph graph =
        conv_graph({{1, 5, 4, 4}, {7, 5, 1, 1}, {.activation = {kind, 0.25, 0.75}}});
    EXPECT_LE(plan_error(graph), kFp32) << to_text(graph) << kernels_of(graph);
  }
}

TEST(PlanConv, Winograd) {
  const Graph graph = conv_graph({{1, 32, 14, 14}, {32, 32, 3, 3}, {.padding = {1, 1, 1, 1}}});
  EXPECT_LE(plan_error(graph, {.winograd = true}), kFp32) << kernels_of(graph, {.winograd = true});
}

// Choices are written once and read again; a broken file counts as none.
TEST(PlanConv, MeasuredChoicesAreKept) {
  const std::string folder = testing::TempDir() + "/residua_kernel_choices";
  std::filesystem::remove_all(folder);
  const PlanOptions options{.kernels = KernelChoice::measured, .winograd = true, .cache = folder};
  const Graph graph = conv_graph({{1, 32, 14, 14}, {32, 32, 3, 3}, {.padding = {1, 1, 1, 1}}});
  EXPECT_LE(plan_error(graph, options), kFp32);
  const auto file = std::filesystem::directory_iterator(folder)->path();
  const std::string chosen = kernels_of(graph, options);
  EXPECT_EQ(kernels_of(graph, options), chosen);
  std::ofstream(file) << "{";
  EXPECT_LE(plan_error(graph, options), kFp32);
  kernels_of(graph, options);
  EXPECT_GT(std::filesystem::file_size(file), 20u);  // written anew
  std::filesystem::remove_all(folder);
}

TEST(PlanConv, Transposed) {
  for (const int64_t groups : {1, 2}) {
    GraphBuilder b;
    const ValueId x = b.input("x", DType::f32, {2, 6, 5, 4}),
                  w = random_constant(b, {6, 4, 3, 3}, 1),
                  bias = random_constant(b, {4 * groups}, 2);
    b.output("y", b.add(op::ConvTranspose{.stride = {2, 2},
                                          .padding = {1, 1, 1, 1},
                                          .output_padding = {1, 0},
                                          .groups = groups},
                        {x, w, bias}));
    const Graph graph = b.finish();
    EXPECT_LE(plan_error(graph), kFp32) << kernels_of(graph);
  }
}

TEST(PlanLinear, EqualsTheInterpreter) {
  for (const Shape& shape : {Shape{7}, Shape{3, 7}, Shape{2, 5, 7}})
    for (const UnaryKind kind : {UnaryKind::none, UnaryKind::gelu, UnaryKind::softplus}) {
      GraphBuilder b;
      const ValueId x = b.input("x", DType::f32, shape), w = random_constant(b, {9, 7}, 1);
      const ValueId s = b.add(op::Unary{{UnaryKind::tanh}}, {b.add(op::Linear{}, {x, w})});
      b.output("y", b.add(op::Linear{{kind, 1, 1}}, {x, w, random_constant(b, {9}, 2), s}));
      const Graph graph = b.finish();
      EXPECT_LE(plan_error(graph), kFp32) << to_text(graph) << kernels_of(graph);
      EXPECT_LE(plan_error(graph, {.dtype = PlanDType::bf16}), 0.02);
    }
}

TEST(PlanMatMul, EqualsTheInterpreter) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const Shape& lead : {Shape{}, Shape{2}, Shape{3, 2}}) {
        const auto with = [&](int64_t r, int64_t c) {
          Shape s = lead;
          s.push_back(r), s.push_back(c);
          return s;
        };
        GraphBuilder b;
        const ValueId x = b.input("x", DType::f32, ta ? with(5, 4) : with(4, 5)),
                      y = b.input("y", DType::f32, tb ? Shape{7, 5} : Shape{5, 7});
        b.output("z", b.add(op::MatMul{ta, tb, 0.5}, {x, y}));
        const Graph graph = b.finish();
        EXPECT_LE(plan_error(graph), kFp32) << to_text(graph) << kernels_of(graph);
      }
}

}  // namespace
}  // namespace residua
