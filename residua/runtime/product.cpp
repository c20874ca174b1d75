#include "residua/runtime/product.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "residua/runtime/elementwise.h"

namespace residua {

using dnnl::memory;

namespace {

// Whether s f(x) = f(s x), so that the target's scale may go into the factors.
bool scales_through(const op::Activation& a) {
  return a.kind == UnaryKind::none || a.kind == UnaryKind::relu || a.kind == UnaryKind::leaky_relu;
}

// One run on memory of zeros.
double product_seconds(const ProductKernel& kernel) {
  const auto& engine = onednn_engine();
  std::vector<std::shared_ptr<std::byte>> owners;
  std::unordered_map<int, memory> arguments;
  const auto add = [&](int index, const memory::desc& desc) {
    if (desc.get_size() == 0) return;
    owners.push_back(aligned_bytes(static_cast<int64_t>(desc.get_size())));
    std::fill_n(owners.back().get(), desc.get_size(), std::byte{});
    arguments[index] = memory(desc, engine, owners.back().get());
  };
  add(DNNL_ARG_SRC, kernel.descs.source);
  add(DNNL_ARG_WEIGHTS, kernel.descs.weights);
  add(DNNL_ARG_BIAS, kernel.descs.bias);
  add(DNNL_ARG_DST, kernel.descs.target);
  add(DNNL_ARG_SCRATCHPAD, kernel.descs.scratchpad);
  dnnl::stream stream(engine);
  return least_seconds([&] { kernel.primitive.execute(stream, arguments); });
}

}  // namespace

const ProductKernel& choose_kernel(Lowering& l, const std::vector<ProductKernel>& kernels) {
  std::vector<std::string> names;
  for (const ProductKernel& kernel : kernels) names.push_back(kernel.name);
  const std::string layer = l.graph().value(l.output()).name;
  return kernels[l.chooser().choose(layer, names,
                                    [&](size_t i) { return product_seconds(kernels[i]); })];
}

Product::Product(Lowering& l, const op::Activation& activation, int integers)
    : l_(l), activation_(activation), source_type_(l.working()), target_type_(l.working()) {
  follows_ = can_follow(activation);
  summand_ = l.has(3);
  const auto x = l.integer_form(l.input(0));
  const auto weight = l.quantized_weight(l.input(1));
  if (integers > 0 && x && weight) {
    weight_ = weight;
    source_type_ = l.form(*x).dtype;
    source_scale_ = l.form(*x).scale;
    target_type_ = DType::f32;
    const auto wanted = l.wanted_integer(l.output());
    if (wanted && follows_) {
      target_type_ = wanted->dtype;
      target_scale_ = wanted->scale;
    }
  }
  summand_type_ = target_type_;
  if (summand_ && target_scale_ != 0) {
    if (const auto s = l.integer_form(l.input(3))) {
      summand_type_ = l.form(*s).dtype;
      summand_scale_ = l.form(*s).scale;
    } else {  // a real summand cannot lie in an integer's place
      target_type_ = summand_type_ = DType::f32;
      target_scale_ = 0;
    }
  }
}

dnnl::primitive_attr Product::attributes() const {
  const bool early = target_scale_ != 0 && scales_through(activation_);
  const float divide = early ? target_scale_ : 1;
  dnnl::post_ops post_ops;
  // A type that is the target's own is not named: products of matrices know no other, and refuse.
  if (summand_ && summand_type_ == target_type_) post_ops.append_sum(summand_scale_ / divide);
  if (summand_ && summand_type_ != target_type_)
    post_ops.append_sum(summand_scale_ / divide, 0, onednn_type(summand_type_).value());
  if (follows_) append_activation(post_ops, activation_);
  if (target_scale_ != 0 && !early)
    post_ops.append_eltwise(1, dnnl::algorithm::eltwise_linear, 1 / target_scale_, 0);
  auto attributes = onednn_attributes(post_ops);
  if (weight_) {
    std::vector<float> scales;
    for (const float s : weight_->scales) scales.push_back(s * source_scale_ / divide);
    attributes.set_output_scales(scales.size() == 1 ? 0 : 2, scales);
  }
  return attributes;
}

// float32 becomes bfloat16 while it is packed, without a copy between.
FormId Product::weights(const memory::desc& given, const memory::desc& packed) {
  const ValueId value = weight_ ? weight_->integers : l_.input(1);
  const FormId first = l_.first_form(value);
  if (weight_type() == DType::bf16 && l_.form(first).dtype == DType::f32) {
    memory::desc wide = given;
    wide.data.data_type = dnnl_f32;
    return packed_constant(l_, first, wide, packed);
  }
  return packed_constant(l_, l_.want(value, weight_type(), Layout::plain), given, packed);
}

// With integers it is added before the scales.
FormId Product::bias() {
  if (!has_bias()) return kNoForm;
  if (!weight_) return l_.want(l_.input(2), DType::f32, Layout::plain);
  const std::vector<float> numbers = l_.constant_numbers(l_.input(2));
  const auto bytes = aligned_bytes(static_cast<int64_t>(numbers.size() * sizeof(float)));
  auto* to = reinterpret_cast<float*>(bytes.get());
  for (size_t i = 0; i < numbers.size(); ++i)
    to[i] = numbers[i] / (weight_->scales[weight_->scales.size() == 1 ? 0 : i] * source_scale_);
  return l_.add_constant(bytes, static_cast<int64_t>(numbers.size() * sizeof(float)));
}

// The result lies over the summand, or over a copy of it where that is read later or is the source.
FormId Product::target(FormId source, Layout layout) {
  if (!summand_) return l_.write(0, target_type_, layout, target_scale_);
  const FormId from = target_scale_ != 0 ? l_.want_integer(l_.input(3), layout)
                                         : l_.want(l_.input(3), target_type_, layout);
  const bool over = l_.may_overwrite(from) && !l_.same_memory(from, source);
  const FormId to = over ? l_.write_over(0, from) : l_.write(0, target_type_, layout);
  l_.set_integer(to, target_type_, target_scale_);
  if (l_.form(to).base == kNoForm) {
    const auto bytes = static_cast<size_t>(form_bytes(l_.form(from)));
    l_.emit(std::make_unique<KernelStep>([=](const StepCall& call) {
              std::memcpy(call.address[to], call.address[from], bytes);
            }),
            "copy", "memcpy", {from}, {to});
  }
  return to;
}

void Product::emit(const ProductKernel& kernel, int64_t operations, bool flat) {
  const ProductDescs& descs = kernel.descs;
  const Shape &x_shape = l_.shape(l_.input(0)), &y_shape = l_.shape(l_.output());
  const Layout x_layout =
      flat ? Layout::plain : layout_of(descs.source, source_type_, x_shape).value();
  const Layout y_layout =
      flat ? Layout::plain : layout_of(descs.target, target_type_, y_shape).value();
  const FormId x = weight_ ? l_.want_integer(l_.input(0), x_layout)
                           : l_.want(l_.input(0), source_type_, x_layout);
  const FormId w = weights(kernel.given, descs.weights), b = bias(), y = target(x, y_layout);
  std::vector<OnednnArgument> arguments{{DNNL_ARG_SRC, descs.source, x},
                                        {DNNL_ARG_WEIGHTS, descs.weights, w},
                                        {DNNL_ARG_DST, descs.target, y}};
  if (b != kNoForm) arguments.push_back({DNNL_ARG_BIAS, descs.bias, b});
  Step& step = l_.emit(onednn_step(kernel.primitive, arguments, descs.scratchpad),
                       std::string(name_of(l_.node().operation)), kernel.name, {x, w, b}, {y});
  step.info.operations = operations;
  step.info.arithmetic = source_type_;
  if (!follows_) emit_function_over(l_, activation_, y);
}

}  // namespace residua
