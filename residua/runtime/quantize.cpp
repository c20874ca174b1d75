#include "residua/runtime/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "residua/core/error.h"
#include "residua/graph/numbers.h"

namespace residua {

namespace {

struct IntegerType {
  DType dtype;
  double scale;
};

const op::Activation* product_activation(const Node& node) {
  if (const auto* conv = std::get_if<op::Conv>(&node.operation)) return &conv->activation;
  if (const auto* linear = std::get_if<op::Linear>(&node.operation)) return &linear->activation;
  return nullptr;
}

ValueId input_or_none(const Node& node, size_t i) {
  return i < node.inputs.size() ? node.inputs[i] : kNoValue;
}

class Quantizer {
 public:
  Quantizer(const Graph& graph, const QuantizeOptions& options) : in_(graph), options_(options) {
    writer_.resize(graph.values.size(), nullptr);
    readers_.resize(graph.values.size(), 0);
    for (const Node& node : graph.nodes) {
      for (const ValueId v : node.outputs) writer_[static_cast<size_t>(v)] = &node;
      for (const ValueId v : node.inputs)
        if (v != kNoValue) ++readers_[static_cast<size_t>(v)];
    }
    for (const ValueId v : graph.outputs) ++readers_[static_cast<size_t>(v)];
    check_names();
    select();
  }

  Graph run(std::span<const CalibrationSample> samples) {
    const auto statistics = observe_values(in_, wanted_, samples, options_.threads);
    for (size_t i = 0; i < wanted_.size(); ++i) {
      types_[wanted_[i].value] = integer_type(statistics[i]);
      means_[wanted_[i].value] = statistics[i].channel_mean;
    }
    spread_through_concats();
    spread_through_pools();
    return rewrite();
  }

 private:
  bool is_product(const Node& node) const {
    if (product_activation(node) == nullptr || !in_.value(input_or_none(node, 1)).constant)
      return false;
    const ValueId bias = input_or_none(node, 2);
    if (bias != kNoValue && !in_.value(bias).constant) return false;
    if (in_.value(node.inputs[0]).type.dtype != DType::f32 || in_.value(node.inputs[0]).constant)
      return false;
    return std::find(options_.keep.begin(), options_.keep.end(), node.name) == options_.keep.end();
  }

  void check_names() const {
    std::vector<std::string> names;
    for (const Node& node : in_.nodes) names.push_back(node.name);
    for (const std::string& name : options_.keep)
      if (std::find(names.begin(), names.end(), name) == names.end())
        throw Error(ErrorKind::not_found, {.where = "quantize.keep",
                                           .rule = "no node has this name",
                                           .received = name,
                                           .hint = nearest_names_hint(name, names)});
  }

  // The values that become integers: what products read, and their summands.
  void select() {
    std::map<ValueId, int64_t> axes;
    for (const Node& node : in_.nodes) {
      if (!is_product(node)) continue;
      const auto last = static_cast<int64_t>(in_.shape(node.inputs[0]).size()) - 1;
      const int64_t axis = std::holds_alternative<op::Conv>(node.operation) ? 1 : last;
      axes[node.inputs[0]] = axis;
      const ValueId summand = input_or_none(node, 3);
      if (summand != kNoValue && !in_.value(summand).constant) axes.try_emplace(summand, axis);
    }
    for (const auto& [value, axis] : axes) wanted_.push_back({value, axis});
  }

  IntegerType integer_type(const ValueStatistics& s) const {
    const bool positive = s.min >= 0;
    const int levels = positive ? 255 : 127;
    const double threshold = choose_threshold(s, options_.calibration, options_.percentile, levels);
    return {positive ? DType::u8 : DType::i8, threshold > 0 ? threshold / levels : 1};
  }

  // What only a max pool reads becomes integers of the pool's type, so that the pool is in
  // integers.
  void spread_through_pools() {
    for (auto node = in_.nodes.rbegin(); node != in_.nodes.rend(); ++node) {
      const auto* pool = std::get_if<op::Pool>(&node->operation);
      if (pool == nullptr || pool->kind != PoolKind::max) continue;
      const ValueId x = node->inputs[0];
      const auto type = types_.find(node->outputs[0]);
      if (type == types_.end() || types_.contains(x) || readers_[static_cast<size_t>(x)] != 1)
        continue;
      const Node* writer = writer_[static_cast<size_t>(x)];
      if (writer != nullptr && is_product(*writer)) types_[x] = type->second;
    }
  }

  // The parts of a concatenation that becomes integers take its type, so that it only moves bytes:
  // those that products, pools or other concatenations give.
  void spread_through_concats() {
    for (auto node = in_.nodes.rbegin(); node != in_.nodes.rend(); ++node) {
      const auto type = types_.find(node->outputs[0]);
      if (!std::holds_alternative<op::Concat>(node->operation) || type == types_.end()) continue;
      const IntegerType all = type->second;
      const bool fits = std::all_of(node->inputs.begin(), node->inputs.end(), [&](ValueId part) {
        const auto own = types_.find(part);
        return gives_integers(part) && (own == types_.end() || own->second.dtype == all.dtype);
      });
      if (!fits) continue;
      for (const ValueId part : node->inputs) types_[part] = all;
    }
  }

  // Whether the value's writer can give integers at once.
  bool gives_integers(ValueId value) const {
    const Node* writer = writer_[static_cast<size_t>(value)];
    return writer != nullptr &&
           (is_product(*writer) || std::holds_alternative<op::Concat>(writer->operation) ||
            std::holds_alternative<op::Pool>(writer->operation));
  }

  bool is_whole_concat(const Node& node) const {
    const auto type = types_.find(node.outputs[0]);
    if (!std::holds_alternative<op::Concat>(node.operation) || type == types_.end()) return false;
    return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId part) {
      const auto own = types_.find(part);
      return own != types_.end() && own->second.dtype == type->second.dtype &&
             own->second.scale == type->second.scale;
    });
  }

  ValueId add_value(const std::string& name, DType dtype, const Shape& shape) {
    std::string unique = name;
    for (int i = 1; !names_.insert(unique).second; ++i) unique = fmt::format("{}.{}", name, i);
    out_.values.push_back({unique, {dtype, shape}});
    return static_cast<ValueId>(out_.values.size()) - 1;
  }

  ValueId add_constant(const std::string& name, DType dtype, const Shape& shape,
                       std::vector<double> numbers) {
    const ValueId id = add_value(name, dtype, shape);
    out_.value(id).constant = write_numbers({{dtype, shape}, std::move(numbers)});
    return id;
  }

  // Quantize and dequantize behind a value, once; other values stay themselves.
  ValueId as_integers(ValueId v) {
    const auto type = types_.find(v);
    if (type == types_.end()) return v;
    const auto done = integers_.find(v);
    if (done != integers_.end()) return done->second;
    const std::string name = in_.value(v).name;
    const Shape& shape = in_.shape(v);
    const ValueId scale = add_constant(name + ".scale", DType::f32, {}, {type->second.scale});
    const ValueId q = add_value(name + ".integers", type->second.dtype, shape);
    const ValueId back = add_value(name + ".dequantized", DType::f32, shape);
    out_.nodes.push_back({op::Quantize{.dtype = type->second.dtype}, {v, scale}, {q}, name});
    out_.nodes.push_back({op::Dequantize{}, {q, scale}, {back}, name});
    return integers_[v] = back;
  }

  // Rounded weights, dequantized; `correction` receives what each output is off on average.
  ValueId integer_weight(const Node& node, std::vector<double>& correction) {
    const ValueId w = node.inputs[1];
    const Value& value = in_.value(w);
    const Numbers numbers = read_numbers(value.type, *value.constant);
    const auto rows = static_cast<size_t>(value.type.shape[0]);
    const size_t row = numbers.data.size() / std::max<size_t>(rows, 1);
    std::vector<double> scales(rows), integers(numbers.data.size());
    correction.assign(rows, 0);
    for (size_t r = 0; r < rows; ++r) {
      double largest = 0;
      for (size_t i = 0; i < row; ++i)
        largest = std::max(largest, std::abs(numbers.data[r * row + i]));
      scales[r] = to_nearest(largest > 0 ? largest / 127 : 1, DType::f32);
      for (size_t i = 0; i < row; ++i) {
        const double real = numbers.data[r * row + i];
        const double n = std::clamp(std::nearbyint(real / scales[r]), -127.0, 127.0);
        integers[r * row + i] = n;
        correction[r] += (real - n * scales[r]) * mean_input(node, r, i, row);
      }
    }
    if (!weights_.contains(w)) {
      const std::string& name = value.name;
      const ValueId q = add_constant(name + ".integers", DType::i8, value.type.shape, integers);
      const ValueId s =
          add_constant(name + ".scales", DType::f32, {static_cast<int64_t>(rows)}, scales);
      const ValueId back = add_value(name + ".dequantized", DType::f32, value.type.shape);
      out_.nodes.push_back({op::Dequantize{.axis = 0}, {q, s}, {back}, name});
      weights_[w] = back;
    }
    return weights_[w];
  }

  // The mean of the input that weight i of output r multiplies.
  double mean_input(const Node& node, size_t r, size_t i, size_t row) const {
    const std::vector<double>& means = means_.at(node.inputs[0]);
    const auto* conv = std::get_if<op::Conv>(&node.operation);
    if (conv == nullptr) return i < means.size() ? means[i] : 0;
    const Shape& w = in_.shape(node.inputs[1]);
    const auto channels = static_cast<size_t>(w[1]);
    const size_t group = r * static_cast<size_t>(conv->groups) / static_cast<size_t>(w[0]);
    const size_t channel = group * channels + i / (row / channels);
    return channel < means.size() ? means[channel] : 0;
  }

  void rewrite_product(Node node) {
    std::vector<double> correction;
    const ValueId weight = integer_weight(node, correction);
    const ValueId bias = input_or_none(node, 2);
    if (options_.bias_correction) {
      std::vector<double> numbers(correction.size(), 0);
      if (bias != kNoValue)
        numbers = read_numbers(in_.value(bias).type, *in_.value(bias).constant).data;
      for (size_t i = 0; i < numbers.size(); ++i) numbers[i] += correction[i];
      node.inputs.resize(std::max<size_t>(node.inputs.size(), 3), kNoValue);
      node.inputs[2] = add_constant(in_.value(node.outputs[0]).name + ".bias", DType::f32,
                                    {static_cast<int64_t>(numbers.size())}, numbers);
    }
    node.inputs[0] = as_integers(node.inputs[0]);
    node.inputs[1] = weight;
    if (const ValueId summand = input_or_none(node, 3); summand != kNoValue)
      node.inputs[3] = as_integers(summand);
    out_.nodes.push_back(std::move(node));
  }

  Graph rewrite() {
    out_ = in_;
    out_.nodes.clear();
    for (const Value& value : out_.values) names_.insert(value.name);
    for (const Node& node : in_.nodes) {
      if (is_product(node)) {
        rewrite_product(node);
        continue;
      }
      Node copy = node;
      const auto* pool = std::get_if<op::Pool>(&node.operation);
      if (pool != nullptr && pool->kind == PoolKind::max)
        copy.inputs[0] = as_integers(copy.inputs[0]);
      if (is_whole_concat(node))
        for (ValueId& part : copy.inputs) part = as_integers(part);
      out_.nodes.push_back(std::move(copy));
    }
    verify(out_);
    return std::move(out_);
  }

  const Graph& in_;
  const QuantizeOptions& options_;
  Graph out_;
  std::vector<const Node*> writer_;
  std::vector<int64_t> readers_;
  std::vector<ObservedValue> wanted_;
  std::map<ValueId, IntegerType> types_;
  std::map<ValueId, std::vector<double>> means_;
  std::map<ValueId, ValueId> integers_, weights_;
  std::set<std::string> names_;
};

}  // namespace

void QuantizeOptions::fields(Fields& f) {
  f.add("calibration", calibration, "how the range of eight bits is chosen");
  f.add("percentile", percentile, "percent of the values that the range covers",
        {.min = 50, .max = 100});
  f.add("bias_correction", bias_correction, "subtract the mean error of rounded weights");
  f.add("keep", keep, "nodes that stay in real numbers");
  f.add("threads", threads, "threads of the calibration; 0: as many as the limits allow",
        {.min = 0});
}

Graph quantize(const Graph& graph, std::span<const CalibrationSample> samples,
               const QuantizeOptions& options) {
  return Quantizer(graph, options).run(samples);
}

}  // namespace residua
