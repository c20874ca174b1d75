#include "residua/graph/cost.h"

#include <algorithm>
#include <limits>

namespace residua {

namespace {

// Costs of hostile sizes stop at the largest number.
int64_t times(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<int64_t>::max() : product;
}

int64_t plus(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<int64_t>::max() : sum;
}

int64_t elements_of(const Graph& g, ValueId id) { return checked_numel(g.shape(id), "cost"); }

int64_t bytes_of(const Graph& g, ValueId id) {
  return checked_bytes(g.shape(id), g.value(id).type.dtype, "cost");
}

// Images times places of each: what every weight of a convolution meets.
int64_t meetings(const Shape& image) {
  int64_t product = image[0];
  for (size_t i = 2; i < image.size(); ++i) product = times(product, image[i]);
  return product;
}

int64_t macs_of(const op::Conv&, const Graph& g, const Node& n) {
  return times(meetings(g.shape(n.outputs[0])), elements_of(g, n.inputs[1]));
}

int64_t macs_of(const op::ConvTranspose&, const Graph& g, const Node& n) {
  return times(meetings(g.shape(n.inputs[0])), elements_of(g, n.inputs[1]));
}

int64_t macs_of(const op::Linear&, const Graph& g, const Node& n) {
  return times(elements_of(g, n.outputs[0]), g.shape(n.inputs[0]).back());
}

int64_t macs_of(const op::MatMul& o, const Graph& g, const Node& n) {
  const Shape& a = g.shape(n.inputs[0]);
  return times(elements_of(g, n.outputs[0]), a[a.size() - (o.transpose_a ? 2 : 1)]);
}

int64_t macs_of(const op::Attention&, const Graph& g, const Node& n) {
  const Shape &query = g.shape(n.inputs[0]), &value = g.shape(n.inputs[2]);
  const int64_t scores = times(times(query[0], query[1]), times(query[2], value[2]));
  return times(scores, plus(query[3], value[3]));
}

int64_t macs_of(const op::FusedBlock& o, const Graph& g, const Node& n) {
  const int64_t before = meetings(g.shape(n.inputs[0])), after = meetings(g.shape(n.outputs[0]));
  return plus(times(o.conv_first ? after : before, elements_of(g, n.inputs[1])),
              times(after, plus(elements_of(g, n.inputs[3]), elements_of(g, n.inputs[5]))));
}

template <class Other>
int64_t macs_of(const Other&, const Graph&, const Node&) {
  return 0;
}

bool reads_what_it_gives(const Operation& operation) {
  return std::holds_alternative<op::Slice>(operation) ||
         std::holds_alternative<op::Expand>(operation) ||
         std::holds_alternative<op::Gather>(operation);
}

}  // namespace

Cost cost_of(const Graph& graph, const Node& node) {
  Cost cost;
  cost.macs = std::visit([&](const auto& o) { return macs_of(o, graph, node); }, node.operation);
  for (const ValueId id : node.inputs)
    if (id != kNoValue && graph.value(id).constant)
      cost.weight_bytes = plus(cost.weight_bytes, bytes_of(graph, id));
  if (std::holds_alternative<op::Reshape>(node.operation)) return cost;
  for (const ValueId id : node.outputs)
    cost.bytes_written = plus(cost.bytes_written, bytes_of(graph, id));
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNoValue) continue;
    const bool part = i == 0 && reads_what_it_gives(node.operation);
    cost.bytes_read =
        plus(cost.bytes_read, part ? std::min(bytes_of(graph, node.inputs[0]), cost.bytes_written)
                                   : bytes_of(graph, node.inputs[i]));
  }
  return cost;
}

Cost cost_of(const Graph& graph) {
  Cost total;
  for (const Node& node : graph.nodes) {
    const Cost cost = cost_of(graph, node);
    total.macs = plus(total.macs, cost.macs);
    total.bytes_read = plus(total.bytes_read, cost.bytes_read);
    total.bytes_written = plus(total.bytes_written, cost.bytes_written);
  }
  for (size_t id = 0; id < graph.values.size(); ++id)
    if (graph.values[id].constant)
      total.weight_bytes = plus(total.weight_bytes, bytes_of(graph, static_cast<ValueId>(id)));
  return total;
}

}  // namespace residua
