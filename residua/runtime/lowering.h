#pragma once
// From a graph to steps (internal to runtime). Each operator has a rule `lower` which asks for its
// inputs in the forms that its kernel reads, declares the forms of its outputs, and emits steps.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "residua/runtime/kernel_choice.h"
#include "residua/runtime/step.h"
#include "residua/runtime/weight_store.h"

namespace residua {

inline constexpr const char* kStridedCopy = "strided copy";  // steps that only move numbers

// A plan's contents. Forms without owner lie in the session's block at `place`.
class Lowered {
 public:
  PlanOptions options;
  int threads = 1;
  std::vector<std::string> input_names, output_names;
  std::vector<TensorType> input_types, output_types;
  std::vector<Form> forms;
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<LayerInfo> layers;
  std::vector<int64_t> place;  // of each form in the block; -1 elsewhere
  int64_t block_bytes = 0;     // with the scratch memory at its end
  int64_t scratch_place = 0;
  int64_t weight_bytes = 0;
};

// Weights that the graph dequantizes: s8 with one scale for each output channel.
struct QuantizedWeight {
  ValueId integers = kNoValue;
  std::vector<float> scales;
};

// Quantization that all readers of a value ask for.
struct WantedInteger {
  DType dtype;
  float scale;
};

class Lowering {
 public:
  Lowering(const Graph& graph, const PlanOptions& options, WeightStore& weights);
  std::unique_ptr<Lowered> lower_all();

  // --- the node at hand
  const Graph& graph() const { return graph_; }
  const Node& node() const { return *node_; }
  bool has(size_t input) const;
  ValueId input(size_t i) const { return has(i) ? node_->inputs[i] : kNoValue; }
  ValueId output(size_t i = 0) const { return last_node_->outputs[i]; }
  const Shape& shape(ValueId value) const { return graph_.shape(value); }
  // The node that alone reads the node's output, where it is an Op of nothing else.
  template <class Op>
  const Node* only_reader() const {
    const auto& readers = readers_[static_cast<size_t>(output())];
    if (readers.size() != 1 || readers[0] == static_cast<int64_t>(graph_.nodes.size()))
      return nullptr;
    const Node& reader = graph_.nodes[static_cast<size_t>(readers[0])];
    const bool fits = std::holds_alternative<Op>(reader.operation) && reader.inputs.size() == 1;
    return fits ? &reader : nullptr;
  }
  const Node* writer(ValueId value) const;  // null for inputs and constants
  // Whether all that read the value copy it or look at it, so that it is never written over.
  bool is_only_copied(ValueId value) const;
  // What is written from now on are the reader's outputs; it is not lowered by itself.
  void include(const Node& reader);
  [[noreturn]] void unsupported(const std::string& rule) const;

  // --- reading
  DType working() const { return working_; }  // of real numbers between steps
  int threads() const { return lowered_->threads; }
  const PlanOptions& options() const { return lowered_->options; }
  bool winograd() const { return winograd_; }  // allowed, and of use somewhere
  WeightStore& weights() { return weights_; }
  KernelChooser& chooser() { return chooser_; }
  const Form& form(FormId id) const { return lowered_->forms[static_cast<size_t>(id)]; }
  bool is_real(ValueId value) const;      // of a floating type
  bool is_constant(ValueId value) const;  // known now
  FormId first_form(ValueId value);
  Layout preferred_layout(ValueId value);  // one that it has already
  // The value in this type and order; real types convert, integer values keep theirs.
  FormId want(ValueId value, DType dtype, Layout layout);
  FormId want_plain(ValueId value);  // real numbers as f32, others in their own type
  std::vector<float> constant_numbers(ValueId value);  // of a constant of real numbers
  std::optional<QuantizedWeight> quantized_weight(ValueId value) const;
  std::optional<FormId> integer_form(ValueId value) const;  // u8 or s8 with a scale
  FormId want_integer(ValueId value, Layout layout);        // the same in this order
  std::optional<WantedInteger> wanted_integer(ValueId value) const;

  // --- writing
  FormId add_form(Form form);
  FormId write(size_t output, DType dtype, Layout layout, float scale = 0);
  FormId add_scratch_form(DType dtype, const Shape& shape);  // for the steps of one node
  FormId add_constant(std::shared_ptr<const void> bytes, int64_t count);
  FormId view(size_t output, FormId base, Layout layout, int64_t offset_bytes);
  void share(size_t output, FormId form);  // the output is that form
  bool may_overwrite(FormId form) const;   // nothing reads it after this node
  FormId write_over(size_t output, FormId form);
  void set_integer(FormId form, DType dtype, float scale);
  void mark_shared(FormId form);
  bool same_memory(FormId a, FormId b) const;
  void remember_quantized(ValueId value, QuantizedWeight weight);

  // --- steps
  Step& emit(std::unique_ptr<Step> step, std::string kind, std::string kernel,
             std::vector<FormId> reads, std::vector<FormId> writes);
  Step& emit(std::string kernel, std::vector<FormId> reads, std::vector<FormId> writes,
             std::function<void(const StepCall&)> body, int64_t scratch_bytes = 0);

 private:
  void lower_node(const Node& node);
  void lower_outputs();
  void drop_unread_copies();
  void forget_unread_constants();
  bool has_winograd() const;
  FormId reorder(FormId from, DType dtype, Layout layout, float scale);
  FormId dequantized_constant(ValueId value);
  int64_t last_use(const Form& form) const;

  const Graph& graph_;
  WeightStore& weights_;
  std::unique_ptr<Lowered> lowered_;
  KernelChooser chooser_;
  DType working_ = DType::f32;
  bool winograd_ = false;
  const Node* node_ = nullptr;
  const Node* last_node_ = nullptr;  // itself, or the last one that its step includes
  int64_t index_ = 0;
  std::vector<bool> included_;                 // nodes that the step of an earlier one computes
  std::vector<std::vector<FormId>> forms_of_;  // each value
  std::vector<int64_t> last_use_;              // node that reads each value last
  std::vector<std::vector<int64_t>> readers_;  // nodes that read each value
  std::vector<const Node*> writer_;            // node that gives each value
  std::vector<std::optional<QuantizedWeight>> quantized_;
};

// Decides which forms lie inside others and the places of the rest.
void place_forms(Lowered& lowered);

std::string layout_text(const Form& form);

// The numbers of a constant were copied to where they are used: its pages may leave the memory.
void release_constant(const Form& form);

// The rules. Those that return false leave the node to the reference interpreter.
bool lower(const op::Conv&, Lowering&);
bool lower(const op::ConvTranspose&, Lowering&);
bool lower(const op::Linear&, Lowering&);
bool lower(const op::MatMul&, Lowering&);
bool lower(const op::Attention&, Lowering&);
bool lower(const op::BatchNorm&, Lowering&);
bool lower(const op::LayerNorm&, Lowering&);
bool lower(const op::GroupNorm&, Lowering&);
bool lower(const op::Pool&, Lowering&);
bool lower(const op::AdaptivePool&, Lowering&);
bool lower(const op::Reduce&, Lowering&);
bool lower(const op::Unary&, Lowering&);
bool lower(const op::Binary&, Lowering&);
bool lower(const op::Softmax&, Lowering&);
bool lower(const op::Reshape&, Lowering&);
bool lower(const op::Transpose&, Lowering&);
bool lower(const op::Expand&, Lowering&);
bool lower(const op::Concat&, Lowering&);
bool lower(const op::Slice&, Lowering&);
bool lower(const op::Pad&, Lowering&);
bool lower(const op::Gather&, Lowering&);
bool lower(const op::Cast&, Lowering&);
bool lower(const op::PixelShuffle&, Lowering&);
bool lower(const op::Resize&, Lowering&);
bool lower(const op::Where&, Lowering&);
bool lower(const op::ArgMax&, Lowering&);
bool lower(const op::TopK&, Lowering&);
bool lower(const op::CumulativeSum&, Lowering&);
bool lower(const op::Arange&, Lowering&);
bool lower(const op::Fill&, Lowering&);
bool lower(const op::Triangle&, Lowering&);
bool lower(const op::Quantize&, Lowering&);
bool lower(const op::Dequantize&, Lowering&);
bool lower(const op::FusedBlock&, Lowering&);
void lower_by_interpreter(Lowering&);

// Throws ErrorKind::invalid_argument unless 0 <= index < size.
void check_index(int64_t index, int64_t size, const std::string& where);

}  // namespace residua
