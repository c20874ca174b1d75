#pragma once
// What convolutions and linear maps share (internal to runtime): integer or real arithmetic, bias,
// a summand that the result is written over, and the function behind it.

#include <string>

#include "residua/runtime/onednn.h"

namespace residua {

struct ProductDescs {
  dnnl::memory::desc source, weights, bias, target, scratchpad;
};

// One implementation of a product. `given`: how the graph's weights lie.
struct ProductKernel {
  dnnl::primitive primitive;
  std::string name;
  ProductDescs descs;
  dnnl::memory::desc given;
};

template <class Primitive>
ProductKernel product_kernel(const typename Primitive::primitive_desc& pd,
                             const dnnl::memory::desc& bias, const dnnl::memory::desc& given) {
  return {Primitive(pd),
          pd.impl_info_str(),
          {pd.src_desc(), pd.weights_desc(), bias, pd.dst_desc(), pd.scratchpad_desc()},
          given};
}

// The fastest here of several that are not empty, where plans measure; else the first.
const ProductKernel& choose_kernel(Lowering& l, const std::vector<ProductKernel>& kernels);

class Product {
 public:
  // Of the node at hand: x, weight, [bias], [summand]. `integers`: 1 where an integer kernel may
  // be used, -1 where there is none.
  Product(Lowering& l, const op::Activation& activation, int integers);

  bool is_integer() const { return weight_.has_value(); }
  DType source_type() const { return source_type_; }
  DType weight_type() const { return is_integer() ? DType::i8 : l_.working(); }
  DType target_type() const { return target_type_; }
  bool has_bias() const { return l_.has(2); }
  dnnl::primitive_attr attributes() const;

  // `flat`: source and target are rows of a matrix.
  void emit(const ProductKernel& kernel, int64_t operations, bool flat = false);

 private:
  FormId weights(const dnnl::memory::desc& given, const dnnl::memory::desc& packed);
  FormId bias();
  FormId target(FormId source, Layout layout);

  Lowering& l_;
  const op::Activation& activation_;
  std::optional<QuantizedWeight> weight_;
  float source_scale_ = 0, target_scale_ = 0, summand_scale_ = 1;
  DType source_type_, target_type_, summand_type_;
  bool summand_ = false, follows_ = true;
};

}  // namespace residua
