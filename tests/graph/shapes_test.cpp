// The types that each operator gives, and what it refuses. Expected shapes are PyTorch's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "residua/core/error.h"
#include "residua/graph/graph.h"

namespace residua {
namespace {

using Inputs = std::vector<std::optional<TensorType>>;

TensorType f32(Shape shape) { return {DType::f32, std::move(shape)}; }
TensorType i64(Shape shape) { return {DType::i64, std::move(shape)}; }
TensorType boolean(Shape shape) { return {DType::boolean, std::move(shape)}; }

std::string text_of(const std::vector<TensorType>& types) {
  std::string text;
  for (const TensorType& type : types)
    text += (text.empty() ? "" : ", ") + std::string(to_string(type.dtype)) + to_string(type.shape);
  return text;
}

std::string inferred(const Operation& operation, const Inputs& inputs) {
  return text_of(infer(operation, inputs));
}

std::string refused(const Operation& operation, const Inputs& inputs) {
  try {
    infer(operation, inputs);
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.kind()), to_string(ErrorKind::shape)) << error.what();
    return error.what();
  }
  return "nothing";
}

TEST(Shapes, Convolutions) {
  const Inputs x_w{f32({2, 3, 224, 224}), f32({64, 3, 7, 7})};
  EXPECT_EQ(inferred(op::Conv{.stride = {2, 2}, .padding = {3, 3, 3, 3}}, x_w),
            "F32[2, 64, 112, 112]");
  EXPECT_EQ(inferred(op::Conv{.stride = {2, 2}, .padding = {2, 2, 3, 3}}, x_w),
            "F32[2, 64, 112, 112]");
  EXPECT_EQ(inferred(op::Conv{.dilation = {3, 3}}, x_w), "F32[2, 64, 206, 206]");
  const op::Conv conv1d{.stride = {2}, .padding = {1, 0}, .dilation = {1}, .groups = 4};
  EXPECT_EQ(inferred(conv1d, {f32({1, 8, 10}), f32({12, 2, 3}), f32({12})}), "F32[1, 12, 5]");
  const op::Conv conv3d{.stride = {1, 2, 2}, .padding = {1, 0, 0, 1, 0, 0}, .dilation = {1, 1, 1}};
  EXPECT_EQ(inferred(conv3d, {f32({1, 2, 4, 9, 9}), f32({5, 2, 3, 3, 3})}), "F32[1, 5, 4, 4, 4]");
  const op::ConvTranspose up{
      .stride = {2, 2}, .padding = {1, 1, 1, 1}, .output_padding = {1, 1}, .groups = 2};
  EXPECT_EQ(inferred(up, {f32({1, 4, 5, 7}), f32({4, 3, 3, 3}), f32({6})}), "F32[1, 6, 10, 14]");
}

TEST(Shapes, RefusedConvolutionsNameTheRuleAndTheSizes) {
  EXPECT_THAT(refused(op::Conv{}, {f32({1, 4, 8, 8}), f32({8, 3, 3, 3})}),
              "[conv] the weight's second size must be the channels of x over the groups. Expected "
              "4. Received 3.");
  EXPECT_THAT(refused(op::Conv{.groups = 3}, {f32({1, 4, 8, 8}), f32({8, 4, 3, 3})}),
              testing::HasSubstr("multiples of 3"));
  EXPECT_THAT(refused(op::Conv{}, {f32({1, 4, 2, 8}), f32({8, 4, 3, 3})}),
              testing::HasSubstr("window is larger than the padded axis"));
  EXPECT_THAT(refused(op::Conv{.stride = {0, 1}}, {f32({1, 4, 8, 8}), f32({8, 4, 3, 3})}),
              testing::HasSubstr("conv.stride"));
  EXPECT_THAT(refused(op::Conv{.stride = {1}}, {f32({1, 4, 8, 8}), f32({8, 4, 3, 3})}),
              testing::HasSubstr("stride has another number of numbers"));
  EXPECT_THAT(refused(op::Conv{}, {f32({1, 4, 8, 8}), f32({8, 4, 3, 3}), f32({4})}),
              testing::HasSubstr("bias has another shape. Expected [8]. Received [4]"));
  EXPECT_THAT(refused(op::Conv{}, {f32({1, 4, 8, 8}), f32({8, 4, 3, 3}), {}, f32({1, 8, 8, 8})}),
              testing::HasSubstr("summand must have the output's type and shape"));
  EXPECT_THAT(refused(op::Conv{}, {f32({1, 4, 8, 8})}), testing::HasSubstr("number of inputs"));
  EXPECT_THAT(refused(op::Conv{}, {i64({1, 4, 8, 8}), i64({8, 4, 3, 3})}),
              testing::HasSubstr("floating"));
  EXPECT_THAT(
      refused(op::ConvTranspose{.output_padding = {1, 1}}, {f32({1, 4, 5, 7}), f32({4, 3, 3, 3})}),
      testing::HasSubstr("output padding"));
  const TensorType half{DType::f16, {8, 4, 3, 3}};
  EXPECT_THAT(refused(op::Conv{}, {f32({1, 4, 8, 8}), half}),
              testing::HasSubstr("one element type"));
  const op::Conv softplus{.activation = {UnaryKind::softplus}};
  EXPECT_THAT(refused(softplus, {f32({1, 4, 8, 8}), f32({8, 4, 3, 3})}),
              testing::HasSubstr("beta of softplus"));
}

TEST(Shapes, Products) {
  EXPECT_EQ(inferred(op::Linear{}, {f32({2, 5, 8}), f32({3, 8}), {}, f32({2, 5, 3})}),
            "F32[2, 5, 3]");
  EXPECT_EQ(inferred(op::MatMul{.transpose_b = true}, {f32({2, 1, 5, 8}), f32({7, 3, 8})}),
            "F32[2, 7, 5, 3]");
  EXPECT_EQ(inferred(op::MatMul{.transpose_a = true}, {f32({8, 5}), f32({8, 3})}), "F32[5, 3]");
  EXPECT_THAT(refused(op::MatMul{}, {f32({5, 8}), f32({7, 3})}),
              testing::HasSubstr("Expected 8. Received 7"));
  EXPECT_THAT(refused(op::Linear{}, {f32({5, 8}), f32({3, 7})}), testing::HasSubstr("[5, 8]"));
  EXPECT_EQ(inferred(op::Attention{},
                     {f32({2, 8, 5, 16}), f32({2, 2, 9, 16}), f32({2, 2, 9, 4}), f32({5, 9})}),
            "F32[2, 8, 5, 4]");
  EXPECT_THAT(refused(op::Attention{}, {f32({2, 8, 5, 16}), f32({2, 3, 9, 16}), f32({2, 3, 9, 4})}),
              testing::HasSubstr("multiple of the key heads"));
  EXPECT_THAT(refused(op::Attention{}, {f32({2, 8, 5, 16}), f32({2, 8, 9, 16}), f32({2, 8, 9, 4}),
                                        f32({3, 2, 8, 5, 9})}),
              testing::HasSubstr("mask must broadcast"));
}

TEST(Shapes, NormsAndPools) {
  EXPECT_EQ(inferred(op::BatchNorm{}, {f32({2, 3, 4}), f32({3}), f32({3}), {}, f32({3})}),
            "F32[2, 3, 4]");
  EXPECT_THAT(refused(op::BatchNorm{}, {f32({2, 3, 4}), f32({3}), {}}),
              testing::HasSubstr("lacks its input 2 (variance)"));
  EXPECT_THAT(refused(op::LayerNorm{.axes = 2}, {f32({2, 3, 4}), f32({4})}),
              testing::HasSubstr("Expected [3, 4]"));
  EXPECT_THAT(refused(op::GroupNorm{.groups = 2}, {f32({2, 3, 4})}),
              testing::HasSubstr("multiple of 2"));
  const op::Pool pool{.kernel = {3, 3}, .padding = {1, 1, 1, 1}};
  EXPECT_EQ(inferred(pool, {f32({1, 3, 7, 8})}), "F32[1, 3, 4, 4]");
  // The third window along the last axis, of size 5, would begin in the padding after it.
  EXPECT_EQ(inferred(op::Pool{.ceil = true}, {f32({1, 3, 4, 5})}), "F32[1, 3, 2, 3]");
  EXPECT_EQ(inferred(op::Pool{.padding = {0, 0, 1, 1}, .ceil = true}, {f32({1, 3, 4, 5})}),
            "F32[1, 3, 2, 3]");
  EXPECT_THAT(refused(op::Pool{.padding = {2, 0, 0, 0}}, {f32({1, 3, 4, 5})}),
              testing::HasSubstr("padding must be less than the window"));
  EXPECT_EQ(inferred(op::AdaptivePool{.sizes = {7, 1}}, {f32({1, 3, 4, 5})}), "F32[1, 3, 7, 1]");
}

TEST(Shapes, Functions) {
  EXPECT_EQ(inferred(op::Reduce{.axes = {-1, 0}}, {f32({2, 3, 4})}), "F32[3]");
  EXPECT_EQ(inferred(op::Reduce{.axes = {1}, .keep = true}, {i64({2, 3})}), "I64[2, 1]");
  EXPECT_EQ(inferred(op::Reduce{.kind = ReduceKind::mean}, {f32({2, 3})}), "F32[]");
  EXPECT_THAT(refused(op::Reduce{.axes = {0, -2}}, {f32({2, 3})}), testing::HasSubstr("twice"));
  EXPECT_THAT(refused(op::Reduce{.kind = ReduceKind::mean}, {i64({2, 3})}),
              testing::HasSubstr("I64"));
  EXPECT_EQ(inferred(op::Binary{}, {f32({2, 1, 4}), f32({3, 1})}), "F32[2, 3, 4]");
  EXPECT_EQ(inferred(op::Binary{.kind = BinaryKind::less}, {i64({2}), i64({})}), "BOOL[2]");
  EXPECT_THAT(refused(op::Binary{}, {f32({2, 3}), f32({2})}), testing::HasSubstr("broadcast"));
  EXPECT_THAT(refused(op::Binary{}, {f32({2}), i64({2})}), testing::HasSubstr("one element type"));
  EXPECT_THAT(refused(op::Binary{}, {boolean({2}), boolean({2})}), testing::HasSubstr("add"));
  EXPECT_THAT(refused(op::Unary{{UnaryKind::exp}}, {i64({2})}), testing::HasSubstr("exp"));
  EXPECT_EQ(inferred(op::Where{}, {boolean({2, 1}), f32({3}), f32({})}), "F32[2, 3]");
  EXPECT_EQ(inferred(op::ArgMax{.axis = 1}, {f32({2, 3, 4})}), "I64[2, 4]");
  EXPECT_EQ(inferred(op::TopK{.k = 2}, {f32({2, 3})}), "F32[2, 2], I64[2, 2]");
  EXPECT_THAT(refused(op::TopK{.k = 4}, {f32({2, 3})}), testing::HasSubstr("at most 3"));
  EXPECT_THAT(refused(op::Softmax{.axis = 2}, {f32({2, 3})}), testing::HasSubstr("-2 to 1"));
  EXPECT_EQ(inferred(op::Quantize{}, {f32({2, 3}), f32({3}), {}}), "U8[2, 3]");
  EXPECT_THAT(refused(op::Quantize{}, {f32({2, 3}), f32({2})}), testing::HasSubstr("Expected 3"));
}

TEST(Shapes, Layout) {
  EXPECT_EQ(inferred(op::Reshape{.sizes = {-1, 4}}, {f32({2, 3, 2})}), "F32[3, 4]");
  EXPECT_THAT(refused(op::Reshape{.sizes = {-1, 5}}, {f32({2, 3, 2})}), testing::HasSubstr("12"));
  EXPECT_THAT(refused(op::Reshape{.sizes = {-1, -1}}, {f32({4})}), testing::HasSubstr("only one"));
  EXPECT_EQ(inferred(op::Transpose{.order = {2, 0, 1}}, {f32({2, 3, 4})}), "F32[4, 2, 3]");
  EXPECT_THAT(refused(op::Transpose{.order = {2, 0, 0}}, {f32({2, 3, 4})}),
              testing::HasSubstr("each axis"));
  EXPECT_EQ(inferred(op::Expand{.sizes = {5, -1, 4}}, {f32({3, 1})}), "F32[5, 3, 4]");
  EXPECT_THAT(refused(op::Expand{.sizes = {4}}, {f32({3})}), testing::HasSubstr("size 1"));
  EXPECT_EQ(inferred(op::Concat{.axis = -1}, {f32({2, 3}), f32({2, 4})}), "F32[2, 7]");
  EXPECT_THAT(refused(op::Concat{.axis = 0}, {f32({2, 3}), f32({2, 4})}),
              testing::HasSubstr("input 1"));
  EXPECT_EQ(inferred(op::Slice{.start = 1, .step = 2}, {f32({6})}), "F32[3]");
  EXPECT_EQ(inferred(op::Slice{.start = -2}, {f32({6})}), "F32[2]");
  EXPECT_EQ(inferred(op::Slice{.start = 4, .end = -3}, {f32({6})}), "F32[0]");
  EXPECT_EQ(inferred(op::Pad{.padding = {0, 1, 2, 3}}, {f32({2, 3})}), "F32[4, 7]");
  EXPECT_THAT(refused(op::Pad{.padding = {2, 0}, .mode = PadMode::reflect}, {f32({2})}),
              testing::HasSubstr("too short"));
  EXPECT_EQ(inferred(op::Gather{.axis = 1}, {f32({2, 3, 4}), i64({5, 6})}), "F32[2, 5, 6, 4]");
  EXPECT_EQ(inferred(op::Gather{}, {f32({2, 3}), i64({})}), "F32[3]");
  EXPECT_THAT(refused(op::Gather{}, {f32({2, 3}), f32({})}), testing::HasSubstr("integers"));
  EXPECT_EQ(inferred(op::Arange{.start = 2, .end = 7}, {}), "I64[5]");
  EXPECT_EQ(inferred(op::Fill{.sizes = {2}, .dtype = DType::f16}, {}), "F16[2]");
  EXPECT_EQ(inferred(op::Cast{.dtype = DType::bf16}, {i64({2})}), "BF16[2]");
  EXPECT_EQ(inferred(op::Resize{.sizes = {4, 9}}, {f32({1, 2, 3, 3})}), "F32[1, 2, 4, 9]");
  EXPECT_EQ(inferred(op::PixelShuffle{.factor = 3}, {f32({1, 18, 2, 5})}), "F32[1, 2, 6, 15]");
  EXPECT_THAT(refused(op::PixelShuffle{}, {f32({1, 6, 2, 5})}),
              testing::HasSubstr("multiple of 4"));
}

TEST(Shapes, FusedBlocks) {
  const op::FusedBlock block{.residual = true, .groups = 24};
  const Inputs inputs{f32({1, 4, 9, 9}), f32({24, 4, 1, 1}), f32({24}), f32({24, 1, 3, 3}),
                      f32({24}),         f32({4, 24, 1, 1}), f32({4})};
  EXPECT_EQ(inferred(block, inputs), "F32[1, 4, 9, 9]");
  op::FusedBlock strided = block;
  strided.stride = 2;
  EXPECT_THAT(refused(strided, inputs), testing::HasSubstr("keep the shape"));
  EXPECT_THAT(refused(op::FusedBlock{.conv_first = true}, inputs), testing::HasSubstr("1x1"));
}

TEST(Shapes, HugeSizesDoNotOverflow) {
  const auto limited = [](const Operation& operation, const Inputs& inputs) {
    try {
      infer(operation, inputs);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::limit || error.kind() == ErrorKind::shape;
    }
    return false;
  };
  EXPECT_TRUE(limited(op::Fill{.sizes = {INT32_MAX, INT32_MAX, INT32_MAX}}, {}));
  EXPECT_TRUE(limited(op::Unary{}, {f32({INT64_MAX})}));
  EXPECT_TRUE(limited(op::Arange{.start = INT64_MIN, .end = INT64_MAX}, {}));
  EXPECT_TRUE(limited(op::Pad{.padding = {INT32_MAX, INT32_MAX}}, {f32({INT32_MAX})}));
  const op::ConvTranspose up{
      .stride = {INT32_MAX}, .padding = {0, 0}, .output_padding = {0}, .dilation = {INT32_MAX}};
  EXPECT_TRUE(limited(up, {f32({0, 1, INT32_MAX}), f32({1, 0, INT32_MAX})}));
  EXPECT_TRUE(limited(op::Cast{.dtype = DType::c64}, {f32({2})}) == false);
}

TEST(Operators, EveryOneIsMadeByItsName) {
  for (const Operation& operation :
       std::vector<Operation>{op::Conv{}, op::TopK{}, op::FusedBlock{}})
    EXPECT_EQ(make_operation(name_of(operation)).index(), operation.index());
  try {
    make_operation("convv");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.kind()), to_string(ErrorKind::not_found));
    EXPECT_THAT(error.what(), testing::HasSubstr("conv"));
  }
}

TEST(Operators, SettingsSurviveJson) {
  Operation conv = op::Conv{.stride = {2, 3}, .groups = 4, .activation = {UnaryKind::clamp, 0, 6}};
  Operation other = op::Conv{};
  assign(describe(other), to_json(describe(conv)));
  EXPECT_EQ(to_json(describe(other)), to_json(describe(conv)));
  EXPECT_EQ(std::get<op::Conv>(other).activation.beta, 6);
  Operation slice = op::Slice{.start = 1};
  Operation same = op::Slice{};
  assign(describe(same), to_json(describe(slice)));
  EXPECT_EQ(std::get<op::Slice>(same).end, INT64_MAX);
  EXPECT_EQ(*find_integer(conv, "stride", 1), 3);
  EXPECT_EQ(find_integer(conv, "stride", 2), nullptr);
  EXPECT_EQ(find_integer(conv, "activation", 0), nullptr);
}

}  // namespace
}  // namespace residua
