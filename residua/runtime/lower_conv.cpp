// Convolutions and their transposes, by oneDNN.
#include <algorithm>

#include "residua/runtime/onednn.h"
#include "residua/runtime/product.h"

namespace residua {

namespace {

using dnnl::memory;

struct ConvSizes {
  memory::dims stride, dilation, before, after;
};

template <class Conv>
ConvSizes conv_sizes(const Conv& o) {
  const auto axes = static_cast<ptrdiff_t>(o.stride.size());
  ConvSizes sizes{o.stride,
                  o.dilation,
                  {o.padding.begin(), o.padding.begin() + axes},
                  {o.padding.begin() + axes, o.padding.end()}};
  for (auto& d : sizes.dilation) --d;
  return sizes;
}

Shape grouped(const Shape& weight, int64_t groups, size_t out_axis) {
  if (groups == 1) return weight;
  Shape s{groups};
  s.insert(s.end(), weight.begin(), weight.end());
  s[out_axis + 1] /= out_axis == 0 ? groups : 1;
  if (out_axis == 1) s[1] /= groups;
  return s;
}

int64_t conv_operations(const Shape& weight, const Shape& out) {
  return 2 * elements_of(weight) * out[0] * spatial_of(out);
}

}  // namespace

bool lower(const op::Conv& o, Lowering& l) {
  const Shape &x_shape = l.shape(l.input(0)), &w_shape = l.shape(l.input(1)),
              &y_shape = l.shape(l.output());
  if (!l.is_constant(l.input(1)) || x_shape.size() > 5 || elements_of(y_shape) == 0) return false;
  if (l.has(2) && !l.is_constant(l.input(2))) return false;
  return with_onednn_errors(l, [&] {
    Product p(l, o.activation, 1);
    const auto sizes = conv_sizes(o);
    const auto weights_desc = onednn_any(p.weight_type(), grouped(w_shape, o.groups, 0));
    const auto bias_desc =
        p.has_bias() ? onednn_desc(DType::f32, {w_shape[0]}, Layout::plain) : memory::desc();
    const auto attributes = p.attributes();
    const auto make = [&](const memory::desc& src, const memory::desc& dst,
                          dnnl::algorithm algorithm) {
      return dnnl::convolution_forward::primitive_desc(
          {dnnl::prop_kind::forward_inference, algorithm, src, weights_desc, bias_desc, dst,
           sizes.stride, sizes.dilation, sizes.before, sizes.after},
          attributes, onednn_engine(), true);
    };
    // Winograd's kernels know only one order, so their neighbours keep it and nothing is reordered.
    const bool blocked = l.winograd() && p.source_type() == DType::f32;
    const auto desc = [&](DType type, const Shape& shape) {
      return blocked && shape[1] >= 16 ? onednn_desc(type, shape, Layout::blocked16)
                                       : onednn_any(type, shape);
    };
    const auto src = desc(p.source_type(), x_shape), dst = desc(p.target_type(), y_shape);
    const auto given = onednn_desc(p.weight_type(), grouped(w_shape, o.groups, 0), Layout::plain);
    const int64_t operations = conv_operations(w_shape, y_shape);
    auto pd = make(src, dst, dnnl::algorithm::convolution_direct);
    if (!pd || std::string(pd.impl_info_str()).starts_with("ref"))  // of odd groups
      pd = make(onednn_any(p.source_type(), x_shape), onednn_any(p.target_type(), y_shape),
                dnnl::algorithm::convolution_direct);
    const auto known = [&] {
      return pd && layout_of(pd.src_desc(), p.source_type(), x_shape) &&
             layout_of(pd.dst_desc(), p.target_type(), y_shape);
    };
    if (!known())
      pd = make(onednn_desc(p.source_type(), x_shape, Layout::plain),
                onednn_desc(p.target_type(), y_shape, Layout::plain),
                dnnl::algorithm::convolution_direct);
    if (!pd) return false;
    std::vector<ProductKernel> kernels;
    if (blocked)
      if (const auto fast = make(src, dst, dnnl::algorithm::convolution_winograd))
        kernels.push_back(product_kernel<dnnl::convolution_forward>(fast, bias_desc, given));
    kernels.push_back(product_kernel<dnnl::convolution_forward>(pd, bias_desc, given));
    p.emit(choose_kernel(l, kernels), operations);
    return true;
  });
}

bool lower(const op::ConvTranspose& o, Lowering& l) {
  const Shape &x_shape = l.shape(l.input(0)), &w_shape = l.shape(l.input(1)),
              &y_shape = l.shape(l.output());
  if (!l.is_constant(l.input(1)) || x_shape.size() > 5 || elements_of(y_shape) == 0) return false;
  if (l.has(2) && !l.is_constant(l.input(2))) return false;
  return with_onednn_errors(l, [&] {
    Product p(l, {}, -1);
    auto sizes = conv_sizes(o);
    for (size_t i = 0; i < sizes.after.size(); ++i) sizes.after[i] -= o.output_padding[i];
    // oneDNN counts output channels before input channels; ours lie [C, O / groups, ...].
    Shape dims = w_shape;
    dims[0] /= o.groups;
    std::swap(dims[0], dims[1]);
    const size_t rank = dims.size();
    using tag = memory::format_tag;
    tag order = rank == 3 ? tag::bac : rank == 4 ? tag::bacd : tag::bacde;
    if (o.groups > 1) {
      dims.insert(dims.begin(), o.groups);
      order = rank == 3 ? tag::acbd : rank == 4 ? tag::acbde : tag::acbdef;
    }
    const auto type = onednn_type(p.weight_type()).value();
    const int64_t channels = y_shape[1];
    const auto bias_desc =
        p.has_bias() ? onednn_desc(DType::f32, {channels}, Layout::plain) : memory::desc();
    const auto make = [&](bool any) {
      const auto desc = [&](DType t, const Shape& s) {
        return any ? onednn_any(t, s) : onednn_desc(t, s, Layout::plain);
      };
      return dnnl::deconvolution_forward::primitive_desc(
          {dnnl::prop_kind::forward_inference, dnnl::algorithm::deconvolution_direct,
           desc(p.source_type(), x_shape), memory::desc(dims, type, tag::any), bias_desc,
           desc(p.target_type(), y_shape), sizes.stride, sizes.dilation, sizes.before, sizes.after},
          p.attributes(), onednn_engine(), true);
    };
    auto pd = make(true);
    if (!pd || !layout_of(pd.src_desc(), p.source_type(), x_shape) ||
        !layout_of(pd.dst_desc(), p.target_type(), y_shape))
      pd = make(false);
    if (!pd) return false;
    p.emit(
        product_kernel<dnnl::deconvolution_forward>(pd, bias_desc, memory::desc(dims, type, order)),
        conv_operations(w_shape, x_shape));
    return true;
  });
}

}  // namespace residua
