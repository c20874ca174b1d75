#include "bench/networks.h"

#include <cmath>
#include <functional>
#include <map>

#include "residua/core/error.h"
#include "residua/core/error_hint.h"
#include "residua/core/random.h"
#include "residua/graph/graph_file.h"
#include "residua/graph/numbers.h"
#include "residua/graph/onnx/onnx.h"
#include "residua/runtime/quantize.h"

namespace residua::bench {

namespace {

constexpr int64_t kClasses = 1000, kImage = 224;

struct ConvForm {
  int64_t stride = 1, groups = 1;
  bool bias = false;
};

// Layers with random weights on one value at a time.
class NetworkBuilder {
 public:
  explicit NetworkBuilder(const std::string& name) : random_(Random(1).split(name)) {}

  ValueId image(int64_t batch) {
    return b_.input("image", DType::f32, {batch, 3, kImage, kImage}, {{"batch"}});
  }
  Graph finish(ValueId scores) {
    b_.output("scores", scores);
    return b_.finish();
  }
  int64_t channels(ValueId x) { return b_.graph().shape(x)[1]; }

  // `gain` is the variance that comes out for an input of variance 1.
  ValueId weight(const Shape& shape, double gain = 2) {
    int64_t count = 1;
    for (const int64_t s : shape) count *= s;
    const double fan = static_cast<double>(count) / static_cast<double>(shape[0]);
    return numbers(shape, 0, std::sqrt(3 * gain / fan));
  }
  ValueId numbers(const Shape& shape, double centre, double width) {
    int64_t count = 1;
    for (const int64_t s : shape) count *= s;
    std::vector<float> v(static_cast<size_t>(count));
    for (float& x : v) x = static_cast<float>(random_.uniform(centre - width, centre + width));
    return b_.constant("w" + std::to_string(++constants_), shape, std::move(v));
  }

  ValueId conv(ValueId x, int64_t out, int64_t kernel, ConvForm form = {}) {
    const int64_t pad = kernel / 2;
    const ValueId w = weight({out, channels(x) / form.groups, kernel, kernel});
    return b_.add(op::Conv{.stride = {form.stride, form.stride},
                           .padding = {pad, pad, pad, pad},
                           .groups = form.groups},
                  {x, w, form.bias ? numbers({out}, 0, 0.1) : kNoValue});
  }
  ValueId norm(ValueId x) {
    const Shape c{channels(x)};
    return b_.add(op::BatchNorm{}, {x, numbers(c, 0, 0.2), numbers(c, 1, 0.2), numbers(c, 1, 0.2),
                                    numbers(c, 0, 0.2)});
  }
  ValueId layer_norm(ValueId x) {
    const Shape c{b_.graph().shape(x).back()};
    return b_.add(op::LayerNorm{.eps = 1e-6}, {x, numbers(c, 1, 0.2), numbers(c, 0, 0.2)});
  }
  ValueId function(ValueId x, op::Activation f) { return b_.add(op::Unary{f}, {x}); }
  ValueId relu(ValueId x) { return function(x, {UnaryKind::relu}); }
  ValueId add(ValueId x, ValueId y) { return b_.add(op::Binary{BinaryKind::add}, {x, y}); }
  ValueId linear(ValueId x, int64_t out, double gain = 2) {
    const ValueId w = weight({out, b_.graph().shape(x).back()}, gain);
    return b_.add(op::Linear{}, {x, w, numbers({out}, 0, 0.1)});
  }
  ValueId max_pool(ValueId x, int64_t kernel, int64_t stride, int64_t pad) {
    return b_.add(op::Pool{PoolKind::max, {kernel, kernel}, {stride, stride}, {pad, pad, pad, pad}},
                  {x});
  }
  ValueId mean_pool(ValueId x) { return b_.add(op::AdaptivePool{}, {x}); }
  // The batch stays; `rest` are the other sizes.
  ValueId reshape(ValueId x, std::vector<int64_t> rest) {
    rest.insert(rest.begin(), b_.graph().shape(x)[0]);
    const ValueId y = b_.add(op::Reshape{rest}, {x});
    b_.graph().nodes.back().rules.push_back({"sizes", 0, {"batch"}});
    return y;
  }
  ValueId classify(ValueId x) { return linear(reshape(mean_pool(x), {channels(x)}), kClasses, 1); }
  GraphBuilder& builder() { return b_; }

 private:
  GraphBuilder b_;
  Random random_;
  int64_t constants_ = 0;
};

using Net = NetworkBuilder;

// "Deep Residual Learning for Image Recognition", arXiv:1512.03385, table 1, with the stride in the
// 3x3 convolution; groups and width as in "Aggregated Residual Transformations for Deep Neural
// Networks", arXiv:1611.05431, and "Wide Residual Networks", arXiv:1605.07146.
struct ResnetForm {
  std::vector<int64_t> blocks;
  bool bottleneck = true;
  int64_t groups = 1, width = 64;  // channels of the 3x3 convolution of the first stage
};

ValueId resnet_block(Net& n, ValueId x, const ResnetForm& f, int64_t stage, int64_t stride) {
  const int64_t wide = (f.bottleneck ? 256 : 64) << stage, middle = f.width << stage;
  ValueId y, shortcut = x;
  if (f.bottleneck) {
    y = n.relu(n.norm(n.conv(x, middle, 1)));
    y = n.relu(n.norm(n.conv(y, middle, 3, {stride, f.groups})));
    y = n.norm(n.conv(y, wide, 1));
  } else {
    y = n.relu(n.norm(n.conv(x, wide, 3, {stride})));
    y = n.norm(n.conv(y, wide, 3));
  }
  if (stride != 1 || n.channels(x) != wide) shortcut = n.norm(n.conv(x, wide, 1, {stride}));
  return n.relu(n.add(y, shortcut));
}

Graph resnet(Net& n, int64_t batch, const ResnetForm& f) {
  ValueId x = n.relu(n.norm(n.conv(n.image(batch), 64, 7, {2})));
  x = n.max_pool(x, 3, 2, 1);
  for (int64_t stage = 0; stage < 4; ++stage)
    for (int64_t i = 0; i < f.blocks[static_cast<size_t>(stage)]; ++i)
      x = resnet_block(n, x, f, stage, i == 0 && stage > 0 ? 2 : 1);
  return n.finish(n.classify(x));
}

// "Densely Connected Convolutional Networks", arXiv:1608.06993, table 1.
Graph densenet121(Net& n, int64_t batch) {
  constexpr int64_t kGrowth = 32;
  ValueId x = n.relu(n.norm(n.conv(n.image(batch), 64, 7, {2})));
  x = n.max_pool(x, 3, 2, 1);
  for (const int64_t layers : {6, 12, 24, 16}) {
    std::vector<ValueId> features{x};
    for (int64_t i = 0; i < layers; ++i) {
      ValueId y = features.size() == 1 ? x : n.builder().add(op::Concat{1}, features);
      y = n.conv(n.relu(n.norm(y)), 4 * kGrowth, 1);
      features.push_back(n.conv(n.relu(n.norm(y)), kGrowth, 3));
    }
    x = n.relu(n.norm(n.builder().add(op::Concat{1}, features)));
    if (layers == 16) continue;
    x = n.conv(x, n.channels(x) / 2, 1);
    x = n.builder().add(op::Pool{PoolKind::average}, {x});
  }
  return n.finish(n.classify(x));
}

// "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv:1409.1556, column D.
Graph vgg16(Net& n, int64_t batch) {
  ValueId x = n.image(batch);
  const std::pair<int64_t, int> stages[] = {{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}};
  for (const auto& [width, layers] : stages) {
    for (int i = 0; i < layers; ++i) x = n.relu(n.conv(x, width, 3, {.bias = true}));
    x = n.max_pool(x, 2, 2, 0);
  }
  x = n.reshape(x, {512 * 7 * 7});
  x = n.relu(n.linear(x, 4096));
  x = n.relu(n.linear(x, 4096));
  return n.finish(n.linear(x, kClasses, 1));
}

// "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv:1801.04381, table 2.
Graph mobilenet_v2(Net& n, int64_t batch) {
  const op::Activation relu6{UnaryKind::clamp, 0, 6};
  ValueId x = n.function(n.norm(n.conv(n.image(batch), 32, 3, {2})), relu6);
  struct Stage {
    int64_t expansion, width, blocks, stride;
  };
  for (const Stage& s :
       {Stage{1, 16, 1, 1}, Stage{6, 24, 2, 2}, Stage{6, 32, 3, 2}, Stage{6, 64, 4, 2},
        Stage{6, 96, 3, 1}, Stage{6, 160, 3, 2}, Stage{6, 320, 1, 1}})
    for (int64_t i = 0; i < s.blocks; ++i) {
      const int64_t stride = i == 0 ? s.stride : 1, wide = s.expansion * n.channels(x);
      ValueId y = x;
      if (s.expansion != 1) y = n.function(n.norm(n.conv(y, wide, 1)), relu6);
      y = n.function(n.norm(n.conv(y, wide, 3, {stride, wide})), relu6);
      y = n.norm(n.conv(y, s.width, 1));
      x = stride == 1 && n.channels(x) == s.width ? n.add(x, y) : y;
    }
  return n.finish(n.classify(n.function(n.norm(n.conv(x, 1280, 1)), relu6)));
}

// "An Image is Worth 16x16 Words", arXiv:2010.11929, table 1, ViT-Base.
ValueId vit_attention(Net& n, ValueId x, int64_t heads) {
  GraphBuilder& b = n.builder();
  const Shape shape = b.graph().shape(x);
  const int64_t tokens = shape[1], width = shape[2], of_head = width / heads;
  const ValueId all = n.linear(x, 3 * width, 1);
  ValueId parts[3];
  for (int64_t i = 0; i < 3; ++i) {
    const ValueId part =
        b.add(op::Slice{.axis = 2, .start = i * width, .end = (i + 1) * width}, {all});
    parts[i] = b.add(op::Transpose{{0, 2, 1, 3}}, {n.reshape(part, {tokens, heads, of_head})});
  }
  const double scale = 1 / std::sqrt(static_cast<double>(of_head));
  const ValueId scores =
      b.add(op::MatMul{.transpose_b = true, .scale = scale}, {parts[0], parts[1]});
  const ValueId mixed = b.add(op::MatMul{}, {b.add(op::Softmax{}, {scores}), parts[2]});
  const ValueId rows = b.add(op::Transpose{{0, 2, 1, 3}}, {mixed});
  return n.linear(n.reshape(rows, {tokens, width}), width, 1);
}

Graph vit_b_16(Net& n, int64_t batch) {
  constexpr int64_t kWidth = 768, kPatch = 16, kHeads = 12, kLayers = 12;
  constexpr int64_t kPatches = (kImage / kPatch) * (kImage / kPatch);
  GraphBuilder& b = n.builder();
  const ValueId w = n.weight({kWidth, 3, kPatch, kPatch}, 1);
  ValueId x =
      b.add(op::Conv{.stride = {kPatch, kPatch}}, {n.image(batch), w, n.numbers({kWidth}, 0, 0.1)});
  x = b.add(op::Transpose{{0, 2, 1}}, {n.reshape(x, {kWidth, kPatches})});
  const ValueId token = b.add(op::Expand{{batch, -1, -1}}, {n.numbers({1, 1, kWidth}, 0, 1)});
  b.graph().nodes.back().rules.push_back({"sizes", 0, {"batch"}});
  x = b.add(op::Concat{1}, {token, x});
  x = n.add(x, n.numbers({1, kPatches + 1, kWidth}, 0, 0.1));
  for (int64_t i = 0; i < kLayers; ++i) {
    x = n.add(x, vit_attention(n, n.layer_norm(x), kHeads));
    const ValueId wide = n.function(n.linear(n.layer_norm(x), 4 * kWidth), {UnaryKind::gelu});
    x = n.add(x, n.linear(wide, kWidth));
  }
  x = b.add(op::Slice{.axis = 1, .start = 0, .end = 1}, {n.layer_norm(x)});
  return n.finish(n.linear(n.reshape(x, {kWidth}), kClasses, 1));
}

using Make = std::function<Graph(Net&, int64_t)>;

Make make_resnet(const ResnetForm& form) {
  return [form](Net& n, int64_t batch) { return resnet(n, batch, form); };
}

const std::map<std::string, Make>& makers() {
  static const std::map<std::string, Make> all{
      {"resnet18", make_resnet({.blocks = {2, 2, 2, 2}, .bottleneck = false})},
      {"resnet50", make_resnet({.blocks = {3, 4, 6, 3}})},
      {"resnext50_32x4d", make_resnet({.blocks = {3, 4, 6, 3}, .groups = 32, .width = 128})},
      {"wide_resnet50_2", make_resnet({.blocks = {3, 4, 6, 3}, .width = 128})},
      {"densenet121", densenet121},
      {"vgg16", vgg16},
      {"mobilenet_v2", mobilenet_v2},
      {"vit_b_16", vit_b_16}};
  return all;
}

}  // namespace

const std::vector<std::string>& network_names() {
  static const std::vector<std::string> names{"resnet18",        "resnet50",    "resnext50_32x4d",
                                              "wide_resnet50_2", "densenet121", "vgg16",
                                              "mobilenet_v2",    "vit_b_16"};
  return names;
}

Graph network(const std::string& name, int64_t batch) {
  const auto found = makers().find(name);
  if (found == makers().end())
    throw Error(ErrorKind::not_found, {.where = "network",
                                       .rule = "no network has this name",
                                       .received = name,
                                       .hint = nearest_names_hint(name, network_names())});
  NetworkBuilder builder(name);
  return found->second(builder, batch);
}

Graph load_network(const std::string& name, int64_t batch) {
  Graph graph;
  if (name.ends_with(".onnx"))
    graph = read_onnx(name).graph;
  else if (name.find('.') != std::string::npos)
    graph = read_graph(name);
  else
    return network(name, batch);
  if (graph.axes.empty()) return graph;
  return with_sizes(graph, {{graph.axes.front().rule.symbol, batch}});
}

CalibrationSample random_sample(const Graph& graph, uint64_t seed) {
  Random random(seed);
  CalibrationSample sample;
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    Numbers numbers{input.type, {}};
    for (int64_t n = checked_numel(input.type.shape, input.name); n > 0; --n)
      numbers.data.push_back(is_floating(input.type.dtype)
                                 ? random.normal()
                                 : static_cast<double>(random.integer(0, 2)));
    const ConstantData data = write_numbers(numbers);
    sample.push_back({{input.name, input.type.dtype, input.type.shape}, data.owner, data.bytes});
  }
  return sample;
}

Graph integer_network(const Graph& graph) {
  const std::vector<CalibrationSample> samples{random_sample(graph, 11), random_sample(graph, 12)};
  return quantize(graph, samples);
}

bool is_convolutional(const Graph& graph) {
  for (const Node& node : graph.nodes)
    if (std::holds_alternative<op::Attention>(node.operation) ||
        std::holds_alternative<op::Softmax>(node.operation))
      return false;
  return true;
}

}  // namespace residua::bench
