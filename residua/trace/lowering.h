#pragma once
// The operation being translated, and what its translation may ask and say. One function for each
// operation of libtorch, by name (lower_*.cpp).

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "residua/graph/graph.h"
#include "residua/trace/dataflow.h"

namespace residua {

DType dtype_of(at::ScalarType type);

class TraceLowering {
 public:
  // `named`: parameters and buffers, whose names their constants get.
  TraceLowering(const Dataflow& flow, GraphBuilder& builder,
                const std::vector<std::pair<std::string, at::Tensor>>& named);

  void input(const at::Tensor& tensor, ValueId value);
  void run();  // all needed calls
  ValueId value(const TensorSource& source, const at::Tensor& tensor);

  // Tensors that were read although no operation had written them: by `torch::tensor`, or by a
  // kernel of the network's own, whose numbers may depend on the input.
  struct FilledOutside {
    int64_t call;
    at::Tensor tensor;
  };
  const std::vector<FilledOutside>& filled_outside() const { return filled_outside_; }

  // --- arguments of the present call, by their place in the schema
  bool has(size_t i) const;  // given and not None (nor an undefined tensor)
  bool is_tensor(size_t i) const;
  ValueId tensor(size_t i);
  ValueId tensor_or_none(size_t i);
  std::vector<ValueId> tensors(size_t i);
  at::Tensor example(size_t i) const;
  at::Tensor result(size_t i = 0) const;
  double number(size_t i) const;
  int64_t integer(size_t i) const;
  bool flag(size_t i) const;
  std::string text(size_t i) const;
  std::vector<int64_t> integers(size_t i) const;
  int64_t axis(size_t i, int64_t rank) const;  // not negative

  // --- what it gives
  ValueId add(Operation operation, std::vector<ValueId> inputs);
  std::vector<ValueId> add_all(Operation operation, std::vector<ValueId> inputs);
  void give(ValueId value, size_t output = 0);
  ValueId scalar(double number, DType dtype);                    // a constant without axes
  ValueId cast(ValueId value, DType dtype);                      // itself where it is of that type
  ValueId reshape(ValueId value, const at::IntArrayRef& sizes);  // itself where it fits
  const Shape& shape(ValueId value) const { return builder_.graph().shape(value); }
  DType dtype(ValueId value) const { return builder_.graph().value(value).type.dtype; }
  [[noreturn]] void unsupported(std::string rule) const;

 private:
  ValueId constant(const at::Tensor& tensor);
  std::string owner_of_parameters() const;

  const Dataflow& flow_;
  GraphBuilder& builder_;
  std::unordered_map<const at::TensorImpl*, std::string> names_;
  std::unordered_map<const at::TensorImpl*, ValueId> leaves_;
  std::vector<FilledOutside> filled_outside_;
  std::vector<at::Tensor> kept_;            // constants, so that their addresses are not used again
  std::vector<std::vector<ValueId>> made_;  // of each call
  std::vector<std::pair<double, ValueId>> scalars_;
  size_t call_ = 0;
  std::string module_;  // whose parameters the present call reads
};

using LowerFunction = void (*)(TraceLowering&);
struct LowerEntry {
  std::string_view name;  // without "aten::" and without a trailing "_"
  LowerFunction lower;
};
std::vector<LowerEntry> product_lowerings();
std::vector<LowerEntry> norm_lowerings();
std::vector<LowerEntry> number_lowerings();
std::vector<LowerEntry> layout_lowerings();

}  // namespace residua
