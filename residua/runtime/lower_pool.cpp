// Pooling, by oneDNN.
#include "residua/runtime/axis_taps.h"
#include "residua/runtime/onednn.h"

namespace residua {

namespace {

using dnnl::memory;

struct Window {
  memory::dims kernel, stride, dilation, before, after;
};

bool emit_pool(Lowering& l, PoolKind kind, bool count_padding, const Window& w) {
  const Shape &x_shape = l.shape(l.input(0)), &y_shape = l.shape(l.output());
  if (x_shape.size() < 3 || x_shape.size() > 5 || elements_of(y_shape) == 0) return false;
  const auto algorithm = kind == PoolKind::max ? dnnl::algorithm::pooling_max
                         : count_padding       ? dnnl::algorithm::pooling_avg_include_padding
                                               : dnnl::algorithm::pooling_avg_exclude_padding;
  // The largest of integers is an integer; an average is not.
  const auto integer = kind == PoolKind::max ? l.integer_form(l.input(0)) : std::nullopt;
  const DType dtype = integer ? l.form(*integer).dtype : l.working();
  const Layout layout = integer ? l.form(*integer).layout : l.preferred_layout(l.input(0));
  const auto make = [&](Layout order) {
    return dnnl::pooling_v2_forward::primitive_desc(
        {dnnl::prop_kind::forward_inference, algorithm, onednn_desc(dtype, x_shape, order),
         onednn_desc(dtype, y_shape, order), w.stride, w.kernel, w.dilation, w.before, w.after},
        onednn_attributes(), onednn_engine(), true);
  };
  auto used = layout;
  auto pd = make(used);
  // Row-major and odd block sizes have only slow kernels.
  if (!pd || std::string(pd.impl_info_str()).find("jit") == std::string::npos) {
    const Layout better = integer ? Layout::channels_last : Layout::blocked16;
    if (auto other = make(better)) pd = other, used = better;
  }
  if (!pd) return false;
  const FormId x = integer ? l.want_integer(l.input(0), used) : l.want(l.input(0), dtype, used);
  const FormId y = l.write(0, dtype, used, integer ? l.form(x).scale : 0);
  Step& step =
      l.emit(onednn_step(dnnl::pooling_v2_forward(pd),
                         {{DNNL_ARG_SRC, pd.src_desc(), x}, {DNNL_ARG_DST, pd.dst_desc(), y}},
                         pd.scratchpad_desc()),
             std::string(name_of(l.node().operation)), pd.impl_info_str(), {x}, {y});
  step.info.operations = elements_of(y_shape) * elements_of(w.kernel);
  return true;
}

}  // namespace

bool lower(const op::Pool& o, Lowering& l) {
  if (!l.is_real(l.input(0))) return false;
  const Shape &x = l.shape(l.input(0)), &y = l.shape(l.output());
  const size_t axes = o.kernel.size();
  Window w{o.kernel,
           o.stride,
           o.dilation,
           {o.padding.begin(), o.padding.begin() + static_cast<ptrdiff_t>(axes)},
           {}};
  for (size_t i = 0; i < axes; ++i) {
    --w.dilation[i];
    const int64_t reach = (o.kernel[i] - 1) * o.dilation[i] + 1;
    const int64_t after = (y[i + 2] - 1) * o.stride[i] + reach - x[i + 2] - w.before[i];
    // Places beyond the padding never count, which oneDNN cannot say.
    if (o.kind == PoolKind::average && o.count_padding && after > o.padding[axes + i])
      return lower_pool_by_taps(o, l);
    w.after.push_back(after);
    if (w.before[i] >= reach || after >= reach) return lower_pool_by_taps(o, l);
  }
  return with_onednn_errors(l, [&] { return emit_pool(l, o.kind, o.count_padding, w); }) ||
         lower_pool_by_taps(o, l);
}

bool lower(const op::AdaptivePool& o, Lowering& l) {
  if (!l.is_real(l.input(0))) return false;
  const Shape& x = l.shape(l.input(0));
  Window w;
  for (size_t i = 0; i < o.sizes.size(); ++i) {
    if (x[i + 2] % o.sizes[i] != 0) return lower_adaptive_pool_by_taps(o, l);
    w.kernel.push_back(x[i + 2] / o.sizes[i]);
  }
  w.stride = w.kernel;
  w.dilation = w.before = w.after = memory::dims(o.sizes.size(), 0);
  return with_onednn_errors(l, [&] { return emit_pool(l, o.kind, false, w); }) ||
         lower_adaptive_pool_by_taps(o, l);
}

}  // namespace residua
