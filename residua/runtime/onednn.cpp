#include "residua/runtime/onednn.h"

#include <cstring>

#include "residua/core/error.h"

namespace residua {

namespace {

using dnnl::memory;

memory::dims dims_of(const Shape& shape) { return shape.empty() ? memory::dims{1} : shape; }

memory::format_tag onednn_tag(Layout layout, size_t rank) {
  using tag = memory::format_tag;
  static constexpr tag kPlain[] = {tag::a,    tag::a,     tag::ab,     tag::abc,
                                   tag::abcd, tag::abcde, tag::abcdef, tag::abcdefg};
  static constexpr tag kLast[] = {tag::nc, tag::nwc, tag::nhwc, tag::ndhwc};
  static constexpr tag k4[] = {tag::undef, tag::nCw4c, tag::nChw4c, tag::nCdhw4c};
  static constexpr tag k8[] = {tag::undef, tag::nCw8c, tag::nChw8c, tag::nCdhw8c};
  static constexpr tag k16[] = {tag::undef, tag::nCw16c, tag::nChw16c, tag::nCdhw16c};
  if (layout == Layout::plain) return rank < std::size(kPlain) ? kPlain[rank] : tag::undef;
  if (rank < 2 || rank > 5) return tag::undef;
  switch (layout) {
    case Layout::blocked4: return k4[rank - 2];
    case Layout::blocked8: return k8[rank - 2];
    case Layout::blocked16: return k16[rank - 2];
    default: return kLast[rank - 2];
  }
}

// The memories and arguments of one session.
struct OnednnState final : StepState {
  dnnl::stream stream{onednn_engine()};
  std::vector<memory> memories;
  std::vector<dnnl_exec_arg_t> arguments;
};

class OnednnStep final : public Step {
 public:
  OnednnStep(const dnnl::primitive& primitive, std::vector<OnednnArgument> arguments,
             const memory::desc& scratchpad)
      : primitive_(primitive), arguments_(std::move(arguments)), scratchpad_(scratchpad) {
    scratch_bytes = static_cast<int64_t>(scratchpad.get_size());
  }

  std::unique_ptr<StepState> open(const StepCall& call) const override {
    auto state = std::make_unique<OnednnState>();
    for (const OnednnArgument& argument : arguments_)
      add(*state, argument.index, argument.desc, call.address[argument.form]);
    if (scratch_bytes > 0) add(*state, DNNL_ARG_SCRATCHPAD, scratchpad_, call.scratch);
    return state;
  }

  void run(const StepCall& call) const override {
    auto& state = static_cast<OnednnState&>(*call.state);
    for (size_t i = 0; i < arguments_.size(); ++i) {
      void* now = call.address[arguments_[i].form];
      if (state.memories[i].get_data_handle() != now) state.memories[i].set_data_handle(now);
    }
    const dnnl_status_t status =
        dnnl_primitive_execute(primitive_.get(), state.stream.get(),
                               static_cast<int>(state.arguments.size()), state.arguments.data());
    if (status != dnnl_success)
      throw Error(ErrorKind::internal, {.where = info.name,
                                        .rule = "oneDNN failed to execute",
                                        .received = "status " + std::to_string(status)});
  }

 private:
  static void add(OnednnState& state, int index, const memory::desc& desc, void* address) {
    state.memories.emplace_back(desc, onednn_engine(), address);
    state.arguments.push_back({index, state.memories.back().get()});
  }

  dnnl::primitive primitive_;
  std::vector<OnednnArgument> arguments_;
  memory::desc scratchpad_;
};

}  // namespace

const dnnl::engine& onednn_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

std::optional<memory::data_type> onednn_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return memory::data_type::f32;
    case DType::bf16: return memory::data_type::bf16;
    case DType::u8: return memory::data_type::u8;
    case DType::i8: return memory::data_type::s8;
    case DType::i32: return memory::data_type::s32;
    default: return std::nullopt;
  }
}

memory::desc onednn_desc(DType dtype, const Shape& shape, Layout layout) {
  return {dims_of(shape), onednn_type(dtype).value(), onednn_tag(layout, shape.size())};
}

memory::desc onednn_any(DType dtype, const Shape& shape) {
  return {dims_of(shape), onednn_type(dtype).value(), memory::format_tag::any};
}

std::optional<Layout> layout_of(const memory::desc& desc, DType dtype, const Shape& shape) {
  for (const Layout layout : {Layout::plain, Layout::channels_last, Layout::blocked16,
                              Layout::blocked8, Layout::blocked4}) {
    if (onednn_tag(layout, shape.size()) == memory::format_tag::undef) continue;
    if (desc == onednn_desc(dtype, shape, layout)) return layout;
  }
  return std::nullopt;
}

dnnl::primitive_attr onednn_attributes(dnnl::post_ops post_ops) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_post_ops(post_ops);
  return attributes;
}

bool can_follow(const op::Activation& a) {
  switch (a.kind) {
    case UnaryKind::none:
    case UnaryKind::relu:
    case UnaryKind::leaky_relu:
    case UnaryKind::elu:
    case UnaryKind::gelu:
    case UnaryKind::gelu_tanh:
    case UnaryKind::silu:
    case UnaryKind::sigmoid:
    case UnaryKind::hard_sigmoid:
    case UnaryKind::hard_swish:
    case UnaryKind::tanh:
    case UnaryKind::clamp:
    case UnaryKind::mish: return true;
    default: return false;
  }
}

void append_activation(dnnl::post_ops& post_ops, const op::Activation& a) {
  using dnnl::algorithm;
  const auto alpha = static_cast<float>(a.alpha), beta = static_cast<float>(a.beta);
  switch (a.kind) {
    case UnaryKind::relu: return post_ops.append_eltwise(1, algorithm::eltwise_relu, 0, 0);
    case UnaryKind::leaky_relu:
      return post_ops.append_eltwise(1, algorithm::eltwise_relu, alpha, 0);
    case UnaryKind::elu: return post_ops.append_eltwise(1, algorithm::eltwise_elu, alpha, 0);
    case UnaryKind::gelu: return post_ops.append_eltwise(1, algorithm::eltwise_gelu_erf, 0, 0);
    case UnaryKind::gelu_tanh:
      return post_ops.append_eltwise(1, algorithm::eltwise_gelu_tanh, 0, 0);
    case UnaryKind::silu: return post_ops.append_eltwise(1, algorithm::eltwise_swish, 1, 0);
    case UnaryKind::sigmoid: return post_ops.append_eltwise(1, algorithm::eltwise_logistic, 0, 0);
    case UnaryKind::hard_sigmoid:
      post_ops.append_eltwise(1, algorithm::eltwise_linear, 1.0f / 6, 0.5f);
      return post_ops.append_eltwise(1, algorithm::eltwise_clip, 0, 1);
    case UnaryKind::hard_swish:
      return post_ops.append_eltwise(1, algorithm::eltwise_hardswish, 0, 0);
    case UnaryKind::tanh: return post_ops.append_eltwise(1, algorithm::eltwise_tanh, 0, 0);
    case UnaryKind::clamp: return post_ops.append_eltwise(1, algorithm::eltwise_clip, alpha, beta);
    case UnaryKind::mish: return post_ops.append_eltwise(1, algorithm::eltwise_mish, 0, 0);
    default: return;
  }
}

std::unique_ptr<Step> onednn_step(const dnnl::primitive& primitive,
                                  std::vector<OnednnArgument> arguments,
                                  const memory::desc& scratchpad) {
  return std::make_unique<OnednnStep>(primitive, std::move(arguments), scratchpad);
}

FormId packed_constant(Lowering& l, FormId from, const memory::desc& from_desc,
                       const memory::desc& to_desc) {
  const auto& source = l.form(from);
  if (from_desc == to_desc) return from;
  std::string key(reinterpret_cast<const char*>(&from_desc.data), sizeof from_desc.data);
  key.append(reinterpret_cast<const char*>(&to_desc.data), sizeof to_desc.data);
  const auto make = [&]() -> std::shared_ptr<const void> {
    const auto bytes = aligned_bytes(static_cast<int64_t>(to_desc.get_size()));
    memory input(from_desc, onednn_engine(), const_cast<void*>(source.constant.get()));
    memory output(to_desc, onednn_engine(), bytes.get());
    dnnl::stream stream(onednn_engine());
    dnnl::reorder(input, output).execute(stream, input, output);
    stream.wait();
    release_constant(source);
    return bytes;
  };
  const std::shared_ptr<const void> owner = source.constant;
  const auto packed = l.weights().get(owner, key, make);
  return l.add_constant(packed, static_cast<int64_t>(to_desc.get_size()));
}

}  // namespace residua
