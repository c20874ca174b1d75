#include "residua/runtime/lowering.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "residua/core/error.h"
#include "residua/core/threads.h"
#include "residua/graph/numbers.h"
#include "residua/io/file.h"
#include "residua/runtime/convert.h"

namespace residua {

namespace {

bool is_real_type(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::f32 || dtype == DType::f64;
}

constexpr int64_t kMaxValueBytes = int64_t{1} << 40;

// Later sums of sizes cannot overflow.
void check_size(const Value& value) {
  const int64_t bytes = checked_bytes(value.type.shape, DType::f64, value.name);
  if (bytes > kMaxValueBytes)
    throw Error(ErrorKind::limit, {.where = value.name,
                                   .rule = "the value is too large for a plan",
                                   .expected = fmt::format("at most {} bytes", kMaxValueBytes),
                                   .received = std::to_string(bytes)});
}

std::shared_ptr<const void> constant_bytes(const ConstantData& data) {
  static const std::byte nothing{};
  return {data.owner, data.bytes.empty() ? &nothing : data.bytes.data()};
}

}  // namespace

std::string layout_text(const Form& form) {
  static constexpr const char* kNames[] = {"plain", "channels_last", "blocked4", "blocked8",
                                           "blocked16"};
  return fmt::format("{} {} {}", to_string(form.dtype), kNames[static_cast<int>(form.layout)],
                     to_string(form.shape));
}

Lowering::Lowering(const Graph& graph, const PlanOptions& options, WeightStore& weights)
    : graph_(graph),
      weights_(weights),
      lowered_(std::make_unique<Lowered>()),
      chooser_(graph, options, choose_threads(static_cast<int>(options.threads)).count) {
  lowered_->options = options;
  lowered_->threads = choose_threads(static_cast<int>(options.threads)).count;
  working_ = options.dtype == PlanDType::bf16 ? DType::bf16 : DType::f32;
  const size_t count = graph.values.size();
  forms_of_.resize(count);
  readers_.resize(count);
  quantized_.resize(count);
  last_use_.assign(count, -1);
  writer_.assign(count, nullptr);
  for (const Node& node : graph.nodes)
    for (const ValueId v : node.outputs) writer_[static_cast<size_t>(v)] = &node;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const ValueId v : graph.nodes[i].inputs)
      if (v != kNoValue) {
        last_use_[static_cast<size_t>(v)] = static_cast<int64_t>(i);
        readers_[static_cast<size_t>(v)].push_back(static_cast<int64_t>(i));
      }
  for (const ValueId v : graph.outputs) {
    last_use_[static_cast<size_t>(v)] = static_cast<int64_t>(graph.nodes.size());
    readers_[static_cast<size_t>(v)].push_back(static_cast<int64_t>(graph.nodes.size()));
  }
  for (size_t i = 0; i < count; ++i) {
    const Value& value = graph.values[i];
    check_size(value);
    if (!value.constant) continue;
    const FormId id = add_form({.dtype = value.type.dtype,
                                .shape = value.type.shape,
                                .constant = constant_bytes(*value.constant),
                                .values = {static_cast<ValueId>(i)}});
    forms_of_[i].push_back(id);
  }
}

// Dense 3x3 convolutions of stride 1 and whole blocks of channels.
bool Lowering::has_winograd() const {
  if (!options().winograd) return false;
  for (const Node& node : graph_.nodes) {
    const auto* conv = std::get_if<op::Conv>(&node.operation);
    if (conv == nullptr || conv->groups != 1) continue;
    const Shape& weight = shape(node.inputs[1]);
    const bool fits = weight.size() == 4 && weight[2] == 3 && weight[3] == 3 && weight[0] >= 16 &&
                      weight[1] >= 16;
    if (fits && conv->stride == std::vector<int64_t>{1, 1} &&
        conv->dilation == std::vector<int64_t>{1, 1})
      return true;
  }
  return false;
}

std::unique_ptr<Lowered> Lowering::lower_all() {
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    const Value& value = graph_.value(graph_.inputs[i]);
    const FormId id = add_form({.dtype = value.type.dtype,
                                .shape = value.type.shape,
                                .input = static_cast<int64_t>(i),
                                .values = {graph_.inputs[i]}});
    forms_of_[static_cast<size_t>(graph_.inputs[i])].push_back(id);
    lowered_->input_names.push_back(value.name);
    lowered_->input_types.push_back(value.type);
  }
  included_.assign(graph_.nodes.size(), false);
  winograd_ = has_winograd();
  for (index_ = 0; index_ < static_cast<int64_t>(graph_.nodes.size()); ++index_)
    if (!included_[static_cast<size_t>(index_)])
      lower_node(graph_.nodes[static_cast<size_t>(index_)]);
  lower_outputs();
  chooser_.save();
  drop_unread_copies();
  place_forms(*lowered_);
  forget_unread_constants();
  for (const auto& step : lowered_->steps) lowered_->layers.push_back(step->info);
  return std::move(lowered_);
}

const Node* Lowering::writer(ValueId value) const { return writer_[static_cast<size_t>(value)]; }

bool Lowering::is_only_copied(ValueId value) const {
  for (const int64_t reader : readers_[static_cast<size_t>(value)]) {
    if (reader == static_cast<int64_t>(graph_.nodes.size())) return false;
    const Operation& operation = graph_.nodes[static_cast<size_t>(reader)].operation;
    if (!std::holds_alternative<op::Slice>(operation) &&
        !std::holds_alternative<op::Reshape>(operation))
      return false;
  }
  return true;
}

void Lowering::lower_node(const Node& node) {
  node_ = last_node_ = &node;
  const bool done = std::visit(
      [&](const auto& operation) {
        if constexpr (requires { lower(operation, *this); })
          return lower(operation, *this);
        else
          return false;
      },
      node.operation);
  if (!done) lower_by_interpreter(*this);
}

// Each output is copied to a form of its own unless its only form can lie at the caller's memory.
void Lowering::lower_outputs() {
  static const Node nothing{};
  node_ = last_node_ = &nothing;
  for (size_t i = 0; i < graph_.outputs.size(); ++i) {
    const ValueId v = graph_.outputs[i];
    const Value& value = graph_.value(v);
    lowered_->output_names.push_back(value.name);
    lowered_->output_types.push_back(value.type);
    FormId last = want(v, value.type.dtype, Layout::plain);
    Form& found = lowered_->forms[static_cast<size_t>(last)];
    const bool own = !found.is_constant() && found.input < 0 && found.output < 0 &&
                     found.base == kNoForm && !found.shared;
    if (!own) {
      const FormId from = last;
      const int64_t bytes = form_bytes(form(from));
      last = add_form({.dtype = value.type.dtype, .shape = value.type.shape, .values = {v}});
      const FormId to = last;
      Step& step =
          emit(std::make_unique<KernelStep>([=](const StepCall& call) {
                 std::memcpy(call.address[to], call.address[from], static_cast<size_t>(bytes));
               }),
               "copy", "memcpy", {from}, {to});
      step.info.name = value.name;
    }
    lowered_->forms[static_cast<size_t>(last)].output = static_cast<int64_t>(i);
  }
}

void Lowering::include(const Node& reader) {
  last_node_ = &reader;
  included_[static_cast<size_t>(&reader - graph_.nodes.data())] = true;
}

bool Lowering::has(size_t i) const {
  return i < node_->inputs.size() && node_->inputs[i] != kNoValue;
}

void Lowering::unsupported(const std::string& rule) const {
  throw Error(
      ErrorKind::unsupported,
      {.where = fmt::format("{} '{}'", name_of(node_->operation), node_->name), .rule = rule});
}

bool Lowering::is_real(ValueId value) const { return is_real_type(graph_.value(value).type.dtype); }

bool Lowering::is_constant(ValueId value) const {
  if (graph_.value(value).constant || quantized_[static_cast<size_t>(value)]) return true;
  const auto& forms = forms_of_[static_cast<size_t>(value)];
  return !forms.empty() && form(forms.front()).is_constant();
}

FormId Lowering::first_form(ValueId value) {
  auto& forms = forms_of_[static_cast<size_t>(value)];
  if (forms.empty()) forms.push_back(dequantized_constant(value));
  return forms.front();
}

Layout Lowering::preferred_layout(ValueId value) {
  const FormId first = first_form(value);
  for (const FormId id : forms_of_[static_cast<size_t>(value)])
    if (form(id).dtype == working_) return form(id).layout;
  return form(first).layout;
}

FormId Lowering::want(ValueId value, DType dtype, Layout layout) {
  const FormId first = first_form(value);
  auto& forms = forms_of_[static_cast<size_t>(value)];
  const bool real = is_real(value);
  for (const FormId id : forms)
    if (form(id).dtype == dtype && (!real || form(id).scale == 0) &&
        same_order(form(id).shape, form(id).layout, layout))
      return id;
  FormId from = first;
  for (const FormId id : forms)
    if (form(id).dtype == dtype && form(id).scale == 0) from = id;
  const FormId to = reorder(from, dtype, layout, real ? 0 : form(from).scale);
  lowered_->forms[static_cast<size_t>(to)].values = {value};
  forms_of_[static_cast<size_t>(value)].push_back(to);
  return to;
}

FormId Lowering::want_plain(ValueId value) {
  return want(value, is_real(value) ? DType::f32 : graph_.value(value).type.dtype, Layout::plain);
}

FormId Lowering::reorder(FormId from, DType dtype, Layout layout, float scale) {
  Form to{.dtype = dtype, .shape = form(from).shape, .layout = layout, .scale = scale};
  if (form(from).is_constant()) {
    const auto key = fmt::format("reorder {}", layout_text(to));
    to.constant = weights_.get(form(from).constant, key, [&]() -> std::shared_ptr<const void> {
      const auto bytes = aligned_bytes(form_bytes(to));
      convert(form(from), form(from).constant.get(), to, bytes.get(), threads());
      release_constant(form(from));
      return bytes;
    });
    return add_form(std::move(to));
  }
  const FormId id = add_form(std::move(to));
  emit_reorder(*this, from, id);
  return id;
}

std::vector<float> Lowering::constant_numbers(ValueId value) {
  const FormId id = want_plain(value);
  const auto* data = static_cast<const float*>(form(id).constant.get());
  return {data, data + elements_of(form(id).shape)};
}

void release_constant(const Form& form) {
  release_pages(
      {static_cast<const std::byte*>(form.constant.get()), static_cast<size_t>(form_bytes(form))});
}

void Lowering::remember_quantized(ValueId value, QuantizedWeight weight) {
  quantized_[static_cast<size_t>(value)] = std::move(weight);
}

std::optional<QuantizedWeight> Lowering::quantized_weight(ValueId value) const {
  return quantized_[static_cast<size_t>(value)];
}

// The real numbers of dequantized weights, for a step that has no integer kernel.
FormId Lowering::dequantized_constant(ValueId value) {
  const auto& weight = quantized_[static_cast<size_t>(value)];
  if (!weight)
    throw Error(ErrorKind::internal, {.where = "plan",
                                      .rule = "a value is read before written",
                                      .received = graph_.value(value).name});
  const Form& integers = form(forms_of_[static_cast<size_t>(weight->integers)].front());
  const int64_t count = elements_of(integers.shape);
  const auto numbers = aligned_bytes(count * 4);
  auto* to = reinterpret_cast<float*>(numbers.get());
  const auto* from = static_cast<const int8_t*>(integers.constant.get());
  const int64_t row = count / static_cast<int64_t>(weight->scales.size());
  for (int64_t i = 0; i < count; ++i)
    to[i] = static_cast<float>(from[i]) * weight->scales[static_cast<size_t>(i / row)];
  return add_form({.shape = integers.shape, .constant = numbers, .values = {value}});
}

std::optional<FormId> Lowering::integer_form(ValueId value) const {
  for (const FormId id : forms_of_[static_cast<size_t>(value)])
    if (form(id).scale != 0) return id;
  return std::nullopt;
}

FormId Lowering::want_integer(ValueId value, Layout layout) {
  auto& forms = forms_of_[static_cast<size_t>(value)];
  for (const FormId id : forms)
    if (form(id).scale != 0 && same_order(form(id).shape, form(id).layout, layout)) return id;
  const FormId from = integer_form(value).value();
  const FormId to = add_form({.dtype = form(from).dtype,
                              .shape = form(from).shape,
                              .layout = layout,
                              .scale = form(from).scale,
                              .values = {value}});
  emit_reorder(*this, from, to);
  forms.push_back(to);
  return to;
}

std::optional<WantedInteger> Lowering::wanted_integer(ValueId value) const {
  std::optional<WantedInteger> wanted;
  for (const int64_t reader : readers_[static_cast<size_t>(value)]) {
    if (reader == static_cast<int64_t>(graph_.nodes.size())) return std::nullopt;
    const Node& n = graph_.nodes[static_cast<size_t>(reader)];
    const auto* quantize = std::get_if<op::Quantize>(&n.operation);
    if (quantize == nullptr) return std::nullopt;
    const std::optional<float> scale = symmetric_scale(graph_, n);
    if (!scale) return std::nullopt;
    if (wanted && (wanted->dtype != quantize->dtype || wanted->scale != *scale))
      return std::nullopt;
    wanted = {quantize->dtype, *scale};
  }
  return wanted;
}

FormId Lowering::add_form(Form form) {
  lowered_->forms.push_back(std::move(form));
  return static_cast<FormId>(lowered_->forms.size()) - 1;
}

FormId Lowering::write(size_t out, DType dtype, Layout layout, float scale) {
  const ValueId v = output(out);
  const FormId id = add_form(
      {.dtype = dtype, .shape = shape(v), .layout = layout, .scale = scale, .values = {v}});
  forms_of_[static_cast<size_t>(v)].push_back(id);
  return id;
}

FormId Lowering::add_scratch_form(DType dtype, const Shape& shape) {
  return add_form({.dtype = dtype, .shape = shape});
}

FormId Lowering::add_constant(std::shared_ptr<const void> bytes, int64_t count) {
  lowered_->weight_bytes += count;
  return add_form({.dtype = DType::u8, .shape = {count}, .constant = std::move(bytes)});
}

FormId Lowering::view(size_t out, FormId base, Layout layout, int64_t offset) {
  const ValueId v = output(out);
  Form f{.dtype = form(base).dtype,
         .shape = shape(v),
         .layout = layout,
         .scale = form(base).scale,
         .base = base,
         .offset = offset,
         .shared = true,
         .values = {v}};
  if (form(base).is_constant())
    f.constant = {form(base).constant,
                  static_cast<const std::byte*>(form(base).constant.get()) + offset};
  if (f.constant) f.base = kNoForm;
  lowered_->forms[static_cast<size_t>(base)].shared = true;
  forms_of_[static_cast<size_t>(v)].push_back(add_form(std::move(f)));
  return forms_of_[static_cast<size_t>(v)].back();
}

void Lowering::share(size_t out, FormId id) {
  lowered_->forms[static_cast<size_t>(id)].values.push_back(output(out));
  forms_of_[static_cast<size_t>(output(out))].push_back(id);
}

int64_t Lowering::last_use(const Form& form) const {
  int64_t last = -1;
  for (const ValueId v : form.values) last = std::max(last, last_use_[static_cast<size_t>(v)]);
  return last;
}

// A part of a concatenation may lie inside its result, so it is never written over.
bool Lowering::may_overwrite(FormId id) const {
  const Form& f = form(id);
  if (f.is_constant() || f.input >= 0 || f.shared || f.values.empty()) return false;
  if (last_use(f) > index_) return false;
  for (const ValueId v : f.values)
    for (const int64_t reader : readers_[static_cast<size_t>(v)])
      if (reader < static_cast<int64_t>(graph_.nodes.size()) &&
          std::holds_alternative<op::Concat>(graph_.nodes[static_cast<size_t>(reader)].operation))
        return false;
  return true;
}

FormId Lowering::write_over(size_t out, FormId over) {
  const ValueId v = output(out);
  const Form f{.dtype = form(over).dtype,
               .shape = shape(v),
               .layout = form(over).layout,
               .scale = 0,
               .base = over,
               .values = {v}};
  forms_of_[static_cast<size_t>(v)].push_back(add_form(f));
  return forms_of_[static_cast<size_t>(v)].back();
}

void check_index(int64_t index, int64_t size, const std::string& where) {
  if (index >= 0 && index < size) return;
  throw Error(ErrorKind::invalid_argument, {.where = where,
                                            .rule = "an index is beyond its axis",
                                            .expected = fmt::format("0 to {}", size - 1),
                                            .received = std::to_string(index)});
}

void Lowering::mark_shared(FormId id) { lowered_->forms[static_cast<size_t>(id)].shared = true; }

bool Lowering::same_memory(FormId a, FormId b) const {
  while (form(a).base != kNoForm) a = form(a).base;
  while (form(b).base != kNoForm) b = form(b).base;
  return a == b;
}

void Lowering::set_integer(FormId id, DType dtype, float scale) {
  Form& f = lowered_->forms[static_cast<size_t>(id)];
  f.dtype = dtype;
  f.scale = scale;
}

Step& Lowering::emit(std::unique_ptr<Step> step, std::string kind, std::string kernel,
                     std::vector<FormId> reads, std::vector<FormId> writes) {
  const auto drop_missing = [](std::vector<FormId>& ids) {
    ids.erase(std::remove(ids.begin(), ids.end(), kNoForm), ids.end());
  };
  drop_missing(reads);
  drop_missing(writes);
  step->info.name = node_->name;
  if (step->info.name.empty() && !node_->outputs.empty())
    step->info.name = graph_.value(node_->outputs.front()).name;
  step->info.kind = std::move(kind);
  step->info.arithmetic = working_;
  step->info.kernel = std::move(kernel);
  if (!writes.empty()) step->info.layout = layout_text(form(writes.front()));
  for (const auto* ids : {&reads, &writes})
    for (const FormId id : *ids) step->info.bytes += form_bytes(form(id));
  step->reads = std::move(reads);
  step->writes = std::move(writes);
  lowered_->steps.push_back(std::move(step));
  return *lowered_->steps.back();
}

Step& Lowering::emit(std::string kernel, std::vector<FormId> reads, std::vector<FormId> writes,
                     std::function<void(const StepCall&)> body, int64_t scratch_bytes) {
  auto step = std::make_unique<KernelStep>(std::move(body));
  step->scratch_bytes = scratch_bytes;
  return emit(std::move(step), std::string(name_of(node_->operation)), std::move(kernel),
              std::move(reads), std::move(writes));
}

}  // namespace residua
