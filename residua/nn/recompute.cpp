#include "residua/nn/recompute.h"

#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {

namespace {

thread_local bool is_recomputing = false;
thread_local const std::vector<at::Tensor>* replayed_products = nullptr;
thread_local size_t next_product = 0;
thread_local std::vector<at::Tensor>* kept_products = nullptr;

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class ConvAgain : public torch::autograd::Function<ConvAgain> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& output, const at::Tensor& x,
                            const at::Tensor& weight, const c10::optional<at::Tensor>& bias,
                            const ConvShape& s) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["bias"] = bias.has_value();
    ctx->saved_data["shape"] = c10::List<int64_t>({s.stride, s.padding, s.dilation, s.groups});
    return output.detach();
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const std::vector<int64_t> s = ctx->saved_data["shape"].toIntVector();
    const bool bias = ctx->saved_data["bias"].toBool();
    const std::vector<int64_t> bias_sizes{weight.size(0)};
    const auto sizes = bias ? at::OptionalIntArrayRef(bias_sizes) : at::OptionalIntArrayRef();
    auto [dx, dw, db] = at::convolution_backward(
        gradients[0], x, weight, sizes, {s[0], s[0]}, {s[1], s[1]}, {s[2], s[2]},
        /*transposed=*/false, {0, 0}, s[3], {x.requires_grad(), weight.requires_grad(), bias});
    return {at::Tensor(), dx, dw, bias ? db : at::Tensor(), at::Tensor()};
  }
};

class LinearAgain : public torch::autograd::Function<LinearAgain> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& output, const at::Tensor& x,
                            const at::Tensor& weight, const c10::optional<at::Tensor>& bias) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["bias"] = bias.has_value();
    return output.detach();
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor g = gradients[0].reshape({-1, weight.size(0)});
    const at::Tensor rows = x.reshape({-1, weight.size(1)});
    const bool bias = ctx->saved_data["bias"].toBool();
    return {at::Tensor(), x.requires_grad() ? g.mm(weight).view(x.sizes()) : at::Tensor(),
            weight.requires_grad() ? g.t().mm(rows) : at::Tensor(), bias ? g.sum(0) : at::Tensor()};
  }
};

// As autocast had it when the output was computed.
at::Tensor of_type(const at::Tensor& t, const at::Tensor& output) {
  return t.defined() && t.scalar_type() != output.scalar_type() ? t.to(output.scalar_type()) : t;
}

c10::optional<at::Tensor> maybe_tensor(const at::Tensor& t) {
  return t.defined() ? c10::make_optional(t) : c10::nullopt;
}

}  // namespace

bool recomputing() { return is_recomputing; }

RecomputeScope::RecomputeScope(const std::vector<at::Tensor>* products)
    : outer_(is_recomputing), outer_products_(replayed_products), outer_next_(next_product) {
  is_recomputing = true;
  replayed_products = products;
  next_product = 0;
}

RecomputeScope::~RecomputeScope() {
  is_recomputing = outer_;
  replayed_products = outer_products_;
  next_product = outer_next_;
}

KeepProductsScope::KeepProductsScope(std::vector<at::Tensor>* products) : outer_(kept_products) {
  kept_products = products;
}

KeepProductsScope::~KeepProductsScope() { kept_products = outer_; }

at::Tensor product(const std::function<at::Tensor()>& compute,
                   const std::function<at::Tensor(const at::Tensor&)>& again) {
  if (replayed_products) {
    if (next_product == replayed_products->size())
      throw Error(ErrorKind::internal,
                  {.where = "recompute", .rule = "asks for more products than were kept"});
    return again((*replayed_products)[next_product++]);
  }
  at::Tensor y = compute();
  if (kept_products) kept_products->push_back(y.detach());
  return y;
}

at::Tensor conv2d_again(const at::Tensor& output, const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& bias, const ConvShape& shape) {
  return ConvAgain::apply(output, of_type(x, output), of_type(weight, output),
                          maybe_tensor(of_type(bias, output)), shape);
}

at::Tensor linear_again(const at::Tensor& output, const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& bias) {
  return LinearAgain::apply(output, of_type(x, output), of_type(weight, output),
                            maybe_tensor(of_type(bias, output)));
}

}  // namespace residua
