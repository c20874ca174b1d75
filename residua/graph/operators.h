#pragma once
// The operators of a graph: plain structs of their settings. What a node reads is the list of its
// inputs; a comment names them in order, those in brackets may be missing (kNoValue, or left out at
// the end). Sizes follow the PyTorch convention: images [N, C, H, W], tokens [N, T, C].
//
// Element types: what is computed together has one floating type (biases, statistics and weights of
// norms may also be f32); comparisons give boolean, places i64. An axis below 0 counts from the
// end.
//
// An operator is one struct here, one case of infer (shapes*.cpp), of interpret (interpreter*.cpp)
// and, where it counts, of cost (cost.cpp).

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "residua/core/options.h"
#include "residua/io/dtype.h"

namespace residua {

// Functions of one number, as PyTorch defines them. `alpha` is the slope of leaky_relu, alpha of
// elu and the lower bound of clamp; `beta` is beta of softplus (positive) and the upper bound of
// clamp.
enum class UnaryKind {
  none,
  relu,
  leaky_relu,
  elu,
  selu,
  gelu,
  gelu_tanh,
  silu,
  sigmoid,
  hard_sigmoid,
  hard_swish,
  tanh,
  softplus,
  mish,
  clamp,
  exp,
  log,
  log1p,
  sqrt,
  rsqrt,
  square,
  reciprocal,
  negate,
  absolute,
  sign,
  floor,
  ceil,
  round,
  sin,
  cos,
  erf,
  logical_not
};
template <>
struct EnumNames<UnaryKind> {
  static constexpr std::array names{
      "none",       "relu",    "leaky_relu",   "elu",        "selu",  "gelu",     "gelu_tanh",
      "silu",       "sigmoid", "hard_sigmoid", "hard_swish", "tanh",  "softplus", "mish",
      "clamp",      "exp",     "log",          "log1p",      "sqrt",  "rsqrt",    "square",
      "reciprocal", "negate",  "absolute",     "sign",       "floor", "ceil",     "round",
      "sin",        "cos",     "erf",          "logical_not"};
};

enum class BinaryKind {
  add,
  subtract,
  multiply,
  divide,
  power,
  minimum,
  maximum,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  logical_and,
  logical_or,
  floor_divide,
  remainder
};
template <>
struct EnumNames<BinaryKind> {
  static constexpr std::array names{
      "add",           "subtract",    "multiply",   "divide",       "power",      "minimum",
      "maximum",       "equal",       "not_equal",  "less",         "less_equal", "greater",
      "greater_equal", "logical_and", "logical_or", "floor_divide", "remainder"};
};

enum class ReduceKind { sum, mean, max, min, prod, l2, variance };
template <>
struct EnumNames<ReduceKind> {
  static constexpr std::array names{"sum", "mean", "max", "min", "prod", "l2", "variance"};
};

enum class PoolKind { max, average };
template <>
struct EnumNames<PoolKind> {
  static constexpr std::array names{"max", "average"};
};

enum class PadMode { constant, reflect, replicate };
template <>
struct EnumNames<PadMode> {
  static constexpr std::array names{"constant", "reflect", "replicate"};
};

enum class ResizeMode { nearest, linear, cubic };
template <>
struct EnumNames<ResizeMode> {
  static constexpr std::array names{"nearest", "linear", "cubic"};
};

template <>
struct EnumNames<DType> {
  static constexpr std::array names{"boolean", "u8",  "i8",   "i16", "u16", "i32", "u32", "i64",
                                    "u64",     "f16", "bf16", "f32", "f64", "c64", "c128"};
};

namespace op {

// What is done to each element at the end of a convolution or product: first a summand is added
// where there is one, then the function.
struct Activation {
  UnaryKind kind = UnaryKind::none;
  double alpha = 0, beta = 0;
  void fields(Fields& f) {
    f.add("kind", kind, "function of each element");
    f.add("alpha", alpha, "its first number");
    f.add("beta", beta, "its second number");
  }
};

// x [N, C, ...], weight [O, C / groups, ...], [bias [O]], [summand, of the output's shape].
struct Conv {
  static constexpr std::string_view name = "conv";
  std::vector<int64_t> stride = {1, 1};         // one for each spatial axis
  std::vector<int64_t> padding = {0, 0, 0, 0};  // of all axes before, then of all axes after
  std::vector<int64_t> dilation = {1, 1};
  int64_t groups = 1;
  Activation activation = {};
  void fields(Fields& f);
};

// x [N, C, ...], weight [C, O / groups, ...], [bias [O]].
struct ConvTranspose {
  static constexpr std::string_view name = "conv_transpose";
  std::vector<int64_t> stride = {1, 1};
  std::vector<int64_t> padding = {0, 0, 0, 0};
  std::vector<int64_t> output_padding = {0, 0};
  std::vector<int64_t> dilation = {1, 1};
  int64_t groups = 1;
  void fields(Fields& f);
};

// x [..., in], weight [out, in], [bias [out]], [summand]: x weight^T + bias.
struct Linear {
  static constexpr std::string_view name = "linear";
  Activation activation = {};
  void fields(Fields& f);
};

// a [..., n, k], b [..., k, m]; leading axes broadcast.
struct MatMul {
  static constexpr std::string_view name = "matmul";
  bool transpose_a = false, transpose_b = false;  // of the last two axes
  double scale = 1;
  void fields(Fields& f);
};

// query [N, heads, T, d], key and value [N, heads of keys, S, d], [mask, added to the scores]:
// softmax(scale query key^T + mask) value. Each key head serves heads / heads of keys queries.
// `causal`: query t sees keys up to t + S - T.
struct Attention {
  static constexpr std::string_view name = "attention";
  double scale = 1;
  bool causal = false;
  void fields(Fields& f);
};

// x, mean, variance, [weight], [bias]; of axis 1, by running statistics.
struct BatchNorm {
  static constexpr std::string_view name = "batch_norm";
  double eps = 1e-5;
  void fields(Fields& f);
};

// x, [weight], [bias]; over the last `axes` axes. `rms`: without subtracting the mean.
struct LayerNorm {
  static constexpr std::string_view name = "layer_norm";
  int64_t axes = 1;
  double eps = 1e-5;
  bool rms = false;
  void fields(Fields& f);
};

// x [N, C, ...], [weight [C]], [bias [C]].
struct GroupNorm {
  static constexpr std::string_view name = "group_norm";
  int64_t groups = 1;
  double eps = 1e-5;
  void fields(Fields& f);
};

// x [N, C, ...]; max never sees padding. `ceil`: a last window may hang over the end as long as it
// begins before the padding after it; places beyond the padding never count.
struct Pool {
  static constexpr std::string_view name = "pool";
  PoolKind kind = PoolKind::max;
  std::vector<int64_t> kernel = {2, 2};
  std::vector<int64_t> stride = {2, 2};
  std::vector<int64_t> padding = {0, 0, 0, 0};
  std::vector<int64_t> dilation = {1, 1};
  bool ceil = false;
  bool count_padding = true;  // average: padded places count
  void fields(Fields& f);
};

// The average over output cells, cell i from floor(i n / m) to ceil((i + 1) n / m).
struct AdaptivePool {
  static constexpr std::string_view name = "adaptive_pool";
  PoolKind kind = PoolKind::average;
  std::vector<int64_t> sizes = {1, 1};
  void fields(Fields& f);
};

// l2: the root of the sum of squares.
struct Reduce {
  static constexpr std::string_view name = "reduce";
  ReduceKind kind = ReduceKind::sum;
  std::vector<int64_t> axes = {};  // none: all
  bool keep = false;               // keep the axes, of size 1
  bool unbiased = false;           // variance divides by n - 1
  void fields(Fields& f);
};

struct Unary {
  static constexpr std::string_view name = "unary";
  Activation function = {};
  void fields(Fields& f);
};

// a, b; broadcast.
struct Binary {
  static constexpr std::string_view name = "binary";
  BinaryKind kind = BinaryKind::add;
  Activation activation = {};
  void fields(Fields& f);
};

// condition, where true, where false; broadcast.
struct Where {
  static constexpr std::string_view name = "where";
  void fields(Fields&) {}
};

struct Softmax {
  static constexpr std::string_view name = "softmax";
  int64_t axis = -1;
  bool log = false;
  void fields(Fields& f);
};

struct ArgMax {
  static constexpr std::string_view name = "arg_max";
  int64_t axis = -1;
  bool keep = false;
  void fields(Fields& f);
};

// Two outputs: the largest (or smallest) values along the axis in order, and their places.
struct TopK {
  static constexpr std::string_view name = "top_k";
  int64_t k = 1;
  int64_t axis = -1;
  bool largest = true;
  void fields(Fields& f);
};

// The same elements in row-major order; one size may be -1, the rest of the elements.
struct Reshape {
  static constexpr std::string_view name = "reshape";
  std::vector<int64_t> sizes = {};
  void fields(Fields& f);
};

struct Transpose {
  static constexpr std::string_view name = "transpose";
  std::vector<int64_t> order = {};  // output axis i is input axis order[i]
  void fields(Fields& f);
};

// Axes of size 1 repeated; -1 keeps the axis. Axes may be added in front.
struct Expand {
  static constexpr std::string_view name = "expand";
  std::vector<int64_t> sizes = {};
  void fields(Fields& f);
};

struct Concat {
  static constexpr std::string_view name = "concat";
  int64_t axis = 0;
  void fields(Fields& f);
};

// Places start, start + step, ... before end; negative start and end count from the size, which
// also bounds them.
struct Slice {
  static constexpr std::string_view name = "slice";
  int64_t axis = 0, start = 0, end = INT64_MAX, step = 1;
  void fields(Fields& f);
};

struct Pad {
  static constexpr std::string_view name = "pad";
  std::vector<int64_t> padding = {};  // of all axes before, then of all axes after
  PadMode mode = PadMode::constant;
  double value = 0;
  void fields(Fields& f);
};

// x, indices: along the axis x's places are replaced by the indices' shape (an embedding: axis 0).
// A negative index counts from the end.
struct Gather {
  static constexpr std::string_view name = "gather";
  int64_t axis = 0;
  void fields(Fields& f);
};

struct Cast {
  static constexpr std::string_view name = "cast";
  DType dtype = DType::f32;
  void fields(Fields& f);
};

// No input: start, start + 1, ... before end.
struct Arange {
  static constexpr std::string_view name = "arange";
  int64_t start = 0, end = 0;
  DType dtype = DType::i64;
  void fields(Fields& f);
};

// No input: one number everywhere.
struct Fill {
  static constexpr std::string_view name = "fill";
  std::vector<int64_t> sizes = {};
  double value = 0;
  DType dtype = DType::f32;
  void fields(Fields& f);
};

// Of the last two axes, what lies on or below (upper: above) the diagonal; the rest is 0.
struct Triangle {
  static constexpr std::string_view name = "triangle";
  bool upper = false;
  int64_t diagonal = 0;
  void fields(Fields& f);
};

struct CumulativeSum {
  static constexpr std::string_view name = "cumulative_sum";
  int64_t axis = -1;
  void fields(Fields& f);
};

// Spatial axes to `sizes`, place i read at (i + 0.5) n / m - 0.5 (align_corners: i (n - 1) / (m -
// 1)). nearest: floor(i n / m); cubic: Keys' kernel with a = -0.75.
struct Resize {
  static constexpr std::string_view name = "resize";
  std::vector<int64_t> sizes = {};
  ResizeMode mode = ResizeMode::nearest;
  bool align_corners = false;
  void fields(Fields& f);
};

// [N, C r^2, H, W] to [N, C, H r, W r], as PyTorch's pixel_shuffle.
struct PixelShuffle {
  static constexpr std::string_view name = "pixel_shuffle";
  int64_t factor = 2;
  void fields(Fields& f);
};

// x, scale, [zero point]; scale of one element, or one for each place of the axis. Integers
// round(x / scale) + zero, ties to even, saturated.
struct Quantize {
  static constexpr std::string_view name = "quantize";
  DType dtype = DType::u8;
  int64_t axis = 1;
  void fields(Fields& f);
};

// x, scale, [zero point]: (x - zero) scale, of the scale's type.
struct Dequantize {
  static constexpr std::string_view name = "dequantize";
  int64_t axis = 1;
  void fields(Fields& f);
};

// A whole inverted-residual block, its wide middle never written to memory: x [N, C, H, W], then
// weight and bias of three convolutions (none missing). `conv_first`: grouped kxk, expand 1x1 +
// activation, project 1x1; otherwise expand 1x1 + activation, grouped kxk + activation, project
// 1x1. `residual` adds x.
struct FusedBlock {
  static constexpr std::string_view name = "fused_block";
  bool conv_first = false;
  bool residual = false;
  int64_t stride = 1, padding = 1, groups = 1;  // of the grouped convolution
  Activation activation = {};
  void fields(Fields& f);
};

}  // namespace op

using Operation =
    std::variant<op::Conv, op::ConvTranspose, op::Linear, op::MatMul, op::Attention, op::BatchNorm,
                 op::LayerNorm, op::GroupNorm, op::Pool, op::AdaptivePool, op::Reduce, op::Unary,
                 op::Binary, op::Where, op::Softmax, op::ArgMax, op::TopK, op::Reshape,
                 op::Transpose, op::Expand, op::Concat, op::Slice, op::Pad, op::Gather, op::Cast,
                 op::Arange, op::Fill, op::Triangle, op::CumulativeSum, op::Resize,
                 op::PixelShuffle, op::Quantize, op::Dequantize, op::FusedBlock>;

std::string_view name_of(const Operation& operation);
Fields describe(Operation& operation);

// The integer setting `field`, or `field[index]` of a list; null when there is none.
int64_t* find_integer(Operation& operation, std::string_view field, int64_t index);

// By name, with default settings. Throws ErrorKind::not_found with the nearest names.
Operation make_operation(std::string_view name);

}  // namespace residua
