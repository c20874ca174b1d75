#pragma once
// What the rules that use oneDNN share (internal to runtime).

#include <dnnl.hpp>
#include <functional>
#include <optional>

#include "residua/runtime/lowering.h"

namespace residua {

const dnnl::engine& onednn_engine();

// nullopt for types that oneDNN does not know.
std::optional<dnnl::memory::data_type> onednn_type(DType dtype);
dnnl::memory::desc onednn_desc(DType dtype, const Shape& shape, Layout layout);
dnnl::memory::desc onednn_any(DType dtype, const Shape& shape);
// Which of our layouts this is, if any.
std::optional<Layout> layout_of(const dnnl::memory::desc& desc, DType dtype, const Shape& shape);

dnnl::primitive_attr onednn_attributes(dnnl::post_ops post_ops = {});
// Whether the function can follow a product, and the post-operations that do it.
bool can_follow(const op::Activation& activation);
void append_activation(dnnl::post_ops& post_ops, const op::Activation& activation);

struct OnednnArgument {
  int index;
  dnnl::memory::desc desc;
  FormId form;
};

// `text` is the implementation's name.
std::unique_ptr<Step> onednn_step(const dnnl::primitive& primitive,
                                  std::vector<OnednnArgument> arguments,
                                  const dnnl::memory::desc& scratchpad);

// A constant in another order or type, made once for all plans. `scale` multiplies.
FormId packed_constant(Lowering& l, FormId from, const dnnl::memory::desc& from_desc,
                       const dnnl::memory::desc& to_desc);

// Runs body, with oneDNN's exceptions turned into ErrorKind::internal of this node.
template <class Body>
auto with_onednn_errors(const Lowering& l, const Body& body) {
  try {
    return body();
  } catch (const dnnl::error& error) {
    l.unsupported(std::string("oneDNN refuses the operation: ") + error.what());
  }
}

}  // namespace residua
