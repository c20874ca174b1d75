// Fused blocks against the reference interpreter: odd sizes, borders of tiles, channels that fill
// no whole vectors, threads.
#include "residua/kernels/fused_block.h"

#include <filesystem>
#include <fstream>

#include "tests/runtime/plan_check.h"

namespace residua {
namespace {

struct BlockCase {
  Shape x;
  int64_t groups, grouped_width;  // channels of a group, in and out
  int64_t middle, outputs, kernel = 3, stride = 1;
  bool conv_first = true, residual = false;
};

Graph block_graph(const BlockCase& c) {
  GraphBuilder b;
  const int64_t wide = c.groups * c.grouped_width;
  const ValueId x = b.input("x", DType::f32, c.x);
  const auto weight = [&](Shape s, uint64_t seed) { return random_constant(b, s, seed); };
  const Shape grouped{wide, c.grouped_width, c.kernel, c.kernel};
  std::vector<ValueId> inputs{x};
  if (c.conv_first)
    inputs.insert(inputs.end(), {weight(grouped, 1), weight({wide}, 2),
                                 weight({c.middle, wide, 1, 1}, 3), weight({c.middle}, 4),
                                 weight({c.outputs, c.middle, 1, 1}, 5), weight({c.outputs}, 6)});
  else
    inputs.insert(inputs.end(),
                  {weight({wide, c.x[1], 1, 1}, 1), weight({wide}, 2), weight(grouped, 3),
                   weight({wide}, 4), weight({c.outputs, wide, 1, 1}, 5), weight({c.outputs}, 6)});
  b.output("y", b.add(op::FusedBlock{.conv_first = c.conv_first,
                                     .residual = c.residual,
                                     .stride = c.stride,
                                     .padding = c.kernel / 2,
                                     .groups = c.groups,
                                     .activation = {UnaryKind::silu}},
                      inputs));
  return b.finish();
}

const std::vector<BlockCase>& block_cases() {
  static const std::vector<BlockCase> cases{
      {{1, 32, 16, 16}, 4, 8, 128, 32, 3, 1, true, true},
      {{2, 24, 17, 13}, 3, 8, 96, 24, 3, 1, true, true},
      {{1, 6, 9, 11}, 6, 1, 70, 10, 5, 1, true, false},
      {{1, 16, 15, 9}, 2, 8, 100, 20, 3, 2, true, false},
      {{1, 18, 7, 70}, 6, 3, 40, 18, 3, 1, true, true},
      {{1, 16, 13, 11}, 96, 1, 0, 16, 3, 1, false, true},
      {{2, 10, 14, 9}, 70, 1, 0, 19, 5, 2, false, false},
      {{1, 16, 9, 7}, 12, 8, 0, 24, 3, 1, false, false},
      {{1, 5, 40, 3}, 7, 3, 0, 5, 3, 1, false, true},
      {{1, 20, 30, 90}, 70, 1, 0, 20, 3, 1, false, true},  // several tiles of depthwise 3x3
      {{1, 12, 31, 70}, 33, 1, 0, 12, 3, 2, false, false},
      {{1, 4, 2, 2}, 9, 1, 0, 4, 3, 1, false, true},
      {{1, 4, 1, 1}, 9, 1, 0, 6, 3, 2, false, false},
  };
  return cases;
}

TEST(FusedBlock, EqualsTheInterpreter) {
  for (const BlockCase& c : block_cases()) {
    const Graph graph = block_graph(c);
    EXPECT_LE(plan_error(graph, {.threads = 1}), kFp32) << to_text(graph);
    EXPECT_LE(plan_error(graph, {.dtype = PlanDType::bf16}), 0.03) << to_text(graph);
  }
}

// Three convolutions and a sum become one step when the plan is asked to.
TEST(FusedBlock, IsFoundWhenAskedFor) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 16, 9, 7});
  const op::Activation silu{UnaryKind::silu};
  ValueId y = b.add(op::Conv{.activation = silu},
                    {x, random_constant(b, {40, 16, 1, 1}, 1), random_constant(b, {40}, 2)});
  y = b.add(op::Conv{.padding = {1, 1, 1, 1}, .groups = 40, .activation = silu},
            {y, random_constant(b, {40, 1, 3, 3}, 3), random_constant(b, {40}, 4)});
  b.output("y", b.add(op::Conv{},
                      {y, random_constant(b, {16, 40, 1, 1}, 5), random_constant(b, {16}, 6), x}));
  const Graph graph = b.finish();
  const PlanOptions fused{.fused_blocks = true};
  EXPECT_LE(plan_error(graph, fused), kFp32);
  EXPECT_NE(kernels_of(graph, fused).find("fused_block"), std::string::npos)
      << kernels_of(graph, fused);
  EXPECT_EQ(kernels_of(graph).find("fused_block"), std::string::npos);
}

// Both candidates of each block are timed, and what is chosen is read again.
TEST(FusedBlock, IsMeasuredAgainstItsConvolutions) {
  GraphBuilder b;
  ValueId y = b.input("x", DType::f32, {1, 16, 9, 7});
  for (uint64_t i = 0; i < 2; ++i) {
    const ValueId x = y;
    const op::Activation relu6{UnaryKind::clamp, 0, 6};
    y = b.add(op::Conv{.activation = relu6}, {y, random_constant(b, {40, 16, 1, 1}, 10 * i + 1),
                                              random_constant(b, {40}, 10 * i + 2)});
    y = b.add(
        op::Conv{.padding = {1, 1, 1, 1}, .groups = 40, .activation = relu6},
        {y, random_constant(b, {40, 1, 3, 3}, 10 * i + 3), random_constant(b, {40}, 10 * i + 4)});
    y = b.add(op::Conv{}, {y, random_constant(b, {16, 40, 1, 1}, 10 * i + 5),
                           random_constant(b, {16}, 10 * i + 6), x});
  }
  b.output("y", y);
  const Graph graph = b.finish();
  const std::string folder = testing::TempDir() + "/residua_block_choices";
  std::filesystem::remove_all(folder);
  const PlanOptions options{
      .kernels = KernelChoice::measured, .fused_blocks = true, .cache = folder};
  EXPECT_LE(plan_error(graph, options), kFp32);
  const std::string chosen = kernels_of(graph, options);
  std::string text;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path());
    text.append(std::istreambuf_iterator<char>(file), {});
  }
  size_t choices = 0;
  for (const char* name : {"\"convolutions\"", "\"fused block\""})
    for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; ++at) ++choices;
  EXPECT_EQ(choices, 2u) << text;
  EXPECT_EQ(kernels_of(graph, options), chosen);
  std::filesystem::remove_all(folder);
}

TEST(FusedBlock, ThreadsDoNotMatter) {
  for (const int64_t threads : {2, 3, 16})
    for (const size_t i : {1u, 6u})
      EXPECT_LE(plan_error(block_graph(block_cases()[i]), {.threads = threads}), kFp32) << threads;
}

TEST(FusedBlock, WorkspaceDependsOnNeitherHeightNorMiddle) {
  const auto bytes = [](int64_t height, int64_t middle) {
    const std::vector<float> zeros(static_cast<size_t>(middle * 64 * 9), 0.0f);
    kernels::BlockWeights weights;
    for (size_t i = 0; i < 3; ++i) weights.weight[i] = weights.bias[i] = zeros.data();
    const kernels::BlockShape shape{.conv_first = true,
                                    .height = height,
                                    .width = 64,
                                    .channels = 64,
                                    .padding = 1,
                                    .groups = 8,
                                    .grouped_outputs = 64,
                                    .middle = middle,
                                    .outputs = 64};
    return kernels::FusedBlock(shape, weights).workspace_bytes();
  };
  const int64_t one = bytes(64, 256);
  EXPECT_EQ(bytes(256, 256), one);
  EXPECT_EQ(bytes(64, 1024), one);
  EXPECT_LT(one, 64 * 64 * 256 * 4 / 4);  // a quarter of the middle that it never writes
}

}  // namespace
}  // namespace residua
