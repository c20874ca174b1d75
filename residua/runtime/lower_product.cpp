// Linear maps and products of matrices, by oneDNN.
#include "residua/runtime/onednn.h"
#include "residua/runtime/product.h"

namespace residua {

namespace {

using dnnl::memory;

struct Matrix {
  memory::dims dims, strides;
};

// The last two axes swapped where asked, leading axes filled up with 1.
Matrix matrix_of(const Shape& shape, bool transpose, size_t rank) {
  Matrix m;
  m.dims.assign(rank - shape.size(), 1);
  m.dims.insert(m.dims.end(), shape.begin(), shape.end());
  m.strides.assign(rank, 1);
  for (size_t i = rank - 1; i-- > 0;) m.strides[i] = m.strides[i + 1] * m.dims[i + 1];
  if (transpose) {
    std::swap(m.dims[rank - 1], m.dims[rank - 2]);
    std::swap(m.strides[rank - 1], m.strides[rank - 2]);
  }
  return m;
}

bool is_fast(const dnnl::convolution_forward::primitive_desc& pd) {
  const std::string name = pd ? pd.impl_info_str() : "";
  return name.starts_with("jit") || name.starts_with("brg");
}

// Rows [n, in] are also an image of one column, channels last: 1x1 convolutions cut it better than
// inner products do. One row lies the same in blocks of channels.
std::vector<ProductKernel> linear_kernels(const Product& p, int64_t rows, const Shape& w_shape) {
  const int64_t in = w_shape[1], out = w_shape[0];
  const auto attributes = p.attributes();
  const auto bias = p.has_bias() ? onednn_desc(DType::f32, {out}, Layout::plain) : memory::desc();
  std::vector<ProductKernel> kernels;
  const auto add_conv = [&](Layout layout) {
    const Shape as_conv{out, in, 1, 1};
    const dnnl::convolution_forward::primitive_desc pd(
        {dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
         onednn_desc(p.source_type(), {1, in, rows, 1}, layout),
         onednn_any(p.weight_type(), as_conv), bias,
         onednn_desc(p.target_type(), {1, out, rows, 1}, layout), memory::dims{1, 1},
         memory::dims{0, 0}, memory::dims{0, 0}},
        attributes, onednn_engine(), true);
    if (is_fast(pd))
      kernels.push_back(product_kernel<dnnl::convolution_forward>(
          pd, bias, onednn_desc(p.weight_type(), as_conv, Layout::plain)));
  };
  if (rows == 1 && in % 16 == 0 && out % 16 == 0) add_conv(Layout::blocked16);
  add_conv(Layout::channels_last);
  const auto x = onednn_desc(p.source_type(), {rows, in}, Layout::plain),
             y = onednn_desc(p.target_type(), {rows, out}, Layout::plain);
  const dnnl::inner_product_forward::primitive_desc inner(
      {dnnl::prop_kind::forward_inference, x, onednn_any(p.weight_type(), w_shape), bias, y},
      attributes, onednn_engine(), true);
  if (inner)
    kernels.push_back(product_kernel<dnnl::inner_product_forward>(
        inner, bias, onednn_desc(p.weight_type(), w_shape, Layout::plain)));
  if (p.is_integer()) return kernels;
  const auto type = onednn_type(p.weight_type()).value();
  const auto row_bias =
      p.has_bias() ? onednn_desc(DType::f32, {1, out}, Layout::plain) : memory::desc();
  const dnnl::matmul::primitive_desc product(
      {x, memory::desc({in, out}, type, memory::format_tag::any), row_bias, y}, attributes,
      onednn_engine(), true);
  if (product)
    kernels.push_back(product_kernel<dnnl::matmul>(
        product, row_bias, memory::desc({in, out}, type, memory::dims{1, in})));
  return kernels;
}

}  // namespace

bool lower(const op::Linear& o, Lowering& l) {
  const Shape &x_shape = l.shape(l.input(0)), &w_shape = l.shape(l.input(1)),
              &y_shape = l.shape(l.output());
  if (!l.is_constant(l.input(1)) || elements_of(y_shape) == 0 || elements_of(x_shape) == 0)
    return false;
  if (l.has(2) && !l.is_constant(l.input(2))) return false;
  return with_onednn_errors(l, [&] {
    Product p(l, o.activation, 1);
    const auto kernels = linear_kernels(p, elements_of(x_shape) / w_shape[1], w_shape);
    if (kernels.empty()) return false;
    p.emit(choose_kernel(l, kernels), 2 * elements_of(x_shape) * w_shape[0], true);
    return true;
  });
}

bool lower(const op::MatMul& o, Lowering& l) {
  const Shape &a_shape = l.shape(l.input(0)), &b_shape = l.shape(l.input(1)),
              &y_shape = l.shape(l.output());
  if (y_shape.size() < 2 || y_shape.size() > 6 || a_shape.size() < 2 || b_shape.size() < 2)
    return false;
  if (elements_of(y_shape) == 0 || elements_of(a_shape) == 0) return false;
  return with_onednn_errors(l, [&] {
    const size_t rank = y_shape.size();
    const auto type = onednn_type(l.working()).value();
    const auto desc = [&](const Matrix& m) { return memory::desc(m.dims, type, m.strides); };
    const auto a = desc(matrix_of(a_shape, o.transpose_a, rank)),
               b = desc(matrix_of(b_shape, o.transpose_b, rank)),
               y = desc(matrix_of(y_shape, false, rank));
    auto attributes = onednn_attributes();
    if (o.scale != 1) attributes.set_output_scales(0, {static_cast<float>(o.scale)});
    const dnnl::matmul::primitive_desc pd({a, b, y}, attributes, onednn_engine(), true);
    if (!pd) return false;
    const FormId from_a = l.want(l.input(0), l.working(), Layout::plain),
                 from_b = l.want(l.input(1), l.working(), Layout::plain),
                 to = l.write(0, l.working(), Layout::plain);
    Step& step = l.emit(
        onednn_step(
            dnnl::matmul(pd),
            {{DNNL_ARG_SRC, a, from_a}, {DNNL_ARG_WEIGHTS, b, from_b}, {DNNL_ARG_DST, y, to}},
            pd.scratchpad_desc()),
        "matmul", pd.impl_info_str(), {from_a, from_b}, {to});
    const int64_t inner = a_shape[a_shape.size() - (o.transpose_a ? 2 : 1)];
    step.info.operations = 2 * elements_of(y_shape) * inner;
    return true;
  });
}

}  // namespace residua
