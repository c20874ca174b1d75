// Reductions, softmax and searches of ONNX.
#include "residua/graph/onnx/import.h"

namespace residua {

namespace {

struct ReducedAxes {
  std::vector<int64_t> axes;
  bool keep, nothing;  // nothing: the operator is the identity
};

// Axes are an attribute, from opset 13 (ReduceSum) or 18 on an input.
ReducedAxes reduced_axes(OnnxNode& n) {
  const bool as_input = n.opset() >= (n.op() == "ReduceSum" ? 13 : 18);
  ReducedAxes r{{}, n.integer("keepdims", 1) != 0, false};
  if (as_input && n.has(1)) r.axes = n.numbers(1);
  if (!as_input) r.axes = n.integers("axes", {});
  r.nothing = n.integer("noop_with_empty_axes", 0) != 0 && r.axes.empty();
  return r;
}

template <ReduceKind kind>
void import_reduce(OnnxNode& n) {
  const ReducedAxes r = reduced_axes(n);
  if (r.nothing) return n.give(n.in(0));
  n.give(n.add(op::Reduce{.kind = kind, .axes = r.axes, .keep = r.keep}, {n.in(0)}));
}

// A sum of a function of the elements, and a function of the sum.
template <UnaryKind before, UnaryKind after>
void import_sum_of(OnnxNode& n) {
  const ReducedAxes r = reduced_axes(n);
  ValueId x = n.in(0);
  if (before != UnaryKind::none) x = n.add(op::Unary{{before}}, {x});
  if (!r.nothing) x = n.add(op::Reduce{.axes = r.axes, .keep = r.keep}, {x});
  if (after != UnaryKind::none) x = n.add(op::Unary{{after}}, {x});
  n.give(x);
}

// log sum exp(x), with the largest element taken out first.
void import_log_sum_exp(OnnxNode& n) {
  const ReducedAxes r = reduced_axes(n);
  const ValueId x = n.in(0);
  if (r.nothing) return n.give(x);
  const ValueId top = n.add(op::Reduce{.kind = ReduceKind::max, .axes = r.axes, .keep = true}, {x});
  const ValueId below = n.add(op::Binary{BinaryKind::subtract, {UnaryKind::exp}}, {x, top});
  const ValueId sum = n.add(op::Reduce{.axes = r.axes, .keep = r.keep}, {below});
  const ValueId log = n.add(op::Unary{{UnaryKind::log}}, {sum});
  const ValueId largest =
      n.add(op::Reduce{.kind = ReduceKind::max, .axes = r.axes, .keep = r.keep}, {x});
  n.give(n.add(op::Binary{}, {log, largest}));
}

// Before opset 13 all axes from `axis` on are one.
void import_softmax(OnnxNode& n) {
  const ValueId x = n.in(0);
  const bool log = n.op() == "LogSoftmax";
  const int64_t axis = n.axis(n.integer("axis", n.opset() < 13 ? 1 : -1), n.rank(x));
  if (n.opset() >= 13 || axis == n.rank(x) - 1)
    return n.give(n.add(op::Softmax{.axis = axis, .log = log}, {x}));
  const Shape shape = n.shape(x);
  Shape joined(shape.begin(), shape.begin() + axis);
  joined.push_back(checked_numel({shape.begin() + axis, shape.end()}, n.where()));
  const ValueId y = n.add(op::Softmax{.axis = -1, .log = log}, {n.reshape(x, joined)});
  n.give(n.reshape(y, shape));
}

void import_arg_max(OnnxNode& n) {
  ValueId x = n.in(0);
  const int64_t axis = n.integer("axis", 0);
  const bool keep = n.integer("keepdims", 1) != 0;
  if (n.integer("select_last_index", 0) != 0) n.unsupported("takes the last of equal places");
  if (n.op() == "ArgMin") {
    const DType dtype = n.type(x).dtype;
    if (dtype == DType::u8 || dtype == DType::u16 || dtype == DType::u32 || dtype == DType::u64)
      n.unsupported("is not read for unsigned numbers");
    x = n.add(op::Unary{{UnaryKind::negate}}, {x});
  }
  n.give(n.add(op::ArgMax{.axis = axis, .keep = keep}, {x}));
}

void import_top_k(OnnxNode& n) {
  const int64_t k = n.opset() < 10 ? n.integer("k", 0) : n.one_number(1);
  n.ignore({"sorted"});  // ours are sorted, which is allowed in both cases
  const auto outputs = n.add_all(
      op::TopK{.k = k, .axis = n.integer("axis", -1), .largest = n.integer("largest", 1) != 0},
      {n.in(0)});
  n.give(outputs[0]);
  n.give(outputs[1], 1);
}

void import_cumulative_sum(OnnxNode& n) {
  if (n.integer("exclusive", 0) != 0 || n.integer("reverse", 0) != 0)
    n.unsupported("is an exclusive or a reversed sum");
  n.give(n.add(op::CumulativeSum{n.one_number(1)}, {n.in(0)}));
}

}  // namespace

void add_reduce_operators(OnnxOperators& table) {
  table["ReduceSum"] = import_reduce<ReduceKind::sum>;
  table["ReduceMean"] = import_reduce<ReduceKind::mean>;
  table["ReduceMax"] = import_reduce<ReduceKind::max>;
  table["ReduceMin"] = import_reduce<ReduceKind::min>;
  table["ReduceProd"] = import_reduce<ReduceKind::prod>;
  table["ReduceL2"] = import_reduce<ReduceKind::l2>;
  table["ReduceL1"] = import_sum_of<UnaryKind::absolute, UnaryKind::none>;
  table["ReduceSumSquare"] = import_sum_of<UnaryKind::square, UnaryKind::none>;
  table["ReduceLogSum"] = import_sum_of<UnaryKind::none, UnaryKind::log>;
  table["ReduceLogSumExp"] = import_log_sum_exp;
  table["Softmax"] = import_softmax;
  table["LogSoftmax"] = import_softmax;
  table["ArgMax"] = import_arg_max;
  table["ArgMin"] = import_arg_max;
  table["TopK"] = import_top_k;
  table["CumSum"] = import_cumulative_sum;
}

}  // namespace residua
