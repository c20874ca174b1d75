#include "residua/connections/ode_adjoint.h"

#include <ATen/core/ivalue.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/recompute.h"

namespace residua {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::vector<double> doubles_of(const at::Tensor& times) {
  const at::Tensor t = times.detach().to(at::kCPU, at::kDouble).contiguous();
  return {t.data_ptr<double>(), t.data_ptr<double>() + t.numel()};
}

struct AdjointCall : torch::CustomClassHolder {
  AdjointCall(OdeField f, variable_list p, AdjointOptions o)
      : field(std::move(f)), parameters(std::move(p)), options(std::move(o)) {}
  OdeField field;
  variable_list parameters;
  AdjointOptions options;
};

// y, a and the parameters' gradient behind one another in one vector.
class AugmentedState {
 public:
  AugmentedState(const at::Tensor& y, const variable_list& parameters)
      : shape_(y.sizes().vec()), size_(y.numel()), parameters_(parameters) {}

  at::Tensor pack(const at::Tensor& y, const at::Tensor& a, const at::Tensor& g) const {
    return at::cat({y.reshape(-1), a.reshape(-1), g});
  }
  at::Tensor y(const at::Tensor& s) const { return s.narrow(0, 0, size_).view(shape_); }
  at::Tensor a(const at::Tensor& s) const { return s.narrow(0, size_, size_).view(shape_); }
  at::Tensor g(const at::Tensor& s) const { return s.narrow(0, 2 * size_, s.numel() - 2 * size_); }
  at::Tensor no_gradient(const at::TensorOptions& options) const {
    int64_t count = 0;
    for (const at::Tensor& p : parameters_) count += p.numel();
    return at::zeros({count}, options);
  }
  variable_list split(const at::Tensor& g) const {
    variable_list parts;
    int64_t at = 0;
    for (const at::Tensor& p : parameters_) {
      parts.push_back(g.narrow(0, at, p.numel()).view(p.sizes()).to(p.scalar_type()));
      at += p.numel();
    }
    return parts;
  }

  // d/dt of (y, a, g): f, -a^T df/dy, -a^T df/dtheta.
  at::Tensor slope(const OdeField& field, double t, const at::Tensor& s) const {
    const torch::AutoGradMode with_grad(true);
    const at::Tensor z = y(s).detach().requires_grad_();
    const at::Tensor f = field(t, z);
    variable_list inputs{z};
    inputs.insert(inputs.end(), parameters_.begin(), parameters_.end());
    if (!f.requires_grad()) return pack(f, at::zeros_like(z), at::zeros_like(g(s))).detach();
    variable_list products = torch::autograd::grad({f}, inputs, {a(s)}, /*retain_graph=*/false,
                                                   /*create_graph=*/false, /*allow_unused=*/true);
    const at::NoGradGuard no_grad;
    variable_list parts{f.detach().reshape(-1)};
    for (size_t i = 0; i < inputs.size(); ++i)
      parts.push_back(products[i].defined() ? products[i].to(s.scalar_type()).reshape(-1).neg()
                                            : at::zeros({inputs[i].numel()}, s.options()));
    return at::cat(parts);
  }

  // The largest of the parts' norms; the seminorm leaves out the last part.
  OdeNorm norm(bool seminorm) const {
    return [n = size_, seminorm](const at::Tensor& scaled) {
      const double state =
          std::max(rms_norm_of(scaled.narrow(0, 0, n)), rms_norm_of(scaled.narrow(0, n, n)));
      if (seminorm) return state;
      return std::max(state, rms_norm_of(scaled.narrow(0, 2 * n, scaled.numel() - 2 * n)));
    };
  }

 private:
  std::vector<int64_t> shape_;
  int64_t size_;
  const variable_list& parameters_;
};

class OdeAdjoint : public torch::autograd::Function<OdeAdjoint> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& y0, const at::Tensor& times,
                               at::TensorList,  // the parameters, for their edges alone
                               const c10::intrusive_ptr<AdjointCall>& call) {
    OdeStats stats;
    variable_list y =
        odeint(call->field, y0.detach(), doubles_of(times), call->options.forward, &stats);
    if (call->options.stats) call->options.stats->forward = stats;
    y.front() = y0.clone();
    variable_list saved = y;
    saved.push_back(times);
    ctx->save_for_backward(saved);
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    ctx->set_materialize_grads(false);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto call =
        c10::static_intrusive_pointer_cast<AdjointCall>(ctx->saved_data["call"].toCapsule());
    variable_list y = ctx->get_saved_variables();
    const at::Tensor times = y.back();
    y.pop_back();
    const std::vector<double> t = doubles_of(times);
    const at::NoGradGuard no_grad;
    const RecomputeScope no_traces;
    const AugmentedState parts(y.front(), call->parameters);
    OdeStats stats;
    const OdeField counted = [&](double at, const at::Tensor& s) {
      return parts.slope(call->field, at, s);
    };
    const auto rate = [&](size_t i, const at::Tensor& a) {  // of the loss along the solution
      return (a * call->field(t[i], y[i])).sum().to(at::kDouble);
    };
    at::Tensor a = at::zeros_like(y.front()), g = parts.no_gradient(y.front().options());
    std::vector<at::Tensor> by_time(t.size(), at::zeros({}, at::kDouble));
    for (size_t i = t.size() - 1; i > 0; --i) {
      if (gradients[i].defined()) {
        a = a + gradients[i];
        if (times.requires_grad()) by_time[i] = rate(i, gradients[i]);
      }
      OdeStats once;
      const at::Tensor s = odeint(counted, parts.pack(y[i], a, g), {t[i], t[i - 1]},
                                  call->options.backward, &once, parts.norm(call->options.seminorm))
                               .back();
      stats.evaluations += once.evaluations;
      stats.accepted += once.accepted;
      stats.rejected += once.rejected;
      a = parts.a(s);
      g = parts.g(s);
    }
    // Appendix B carries dL/dt along by its own equation, of which -a^T f is the solution.
    if (times.requires_grad() && t.size() > 1) by_time[0] = -rate(0, a);
    if (gradients[0].defined()) a = a + gradients[0];
    if (call->options.stats) call->options.stats->backward = stats;
    variable_list out{
        a, times.requires_grad() ? at::stack(by_time).to(times.options()) : at::Tensor()};
    for (at::Tensor& part : parts.split(g)) out.push_back(std::move(part));
    out.emplace_back();  // of the call
    return out;
  }
};

}  // namespace

std::vector<at::Tensor> odeint_adjoint(const OdeField& field, const at::Tensor& y0,
                                       const at::Tensor& times,
                                       const std::vector<at::Tensor>& parameters,
                                       const AdjointOptions& options) {
  if (times.dim() != 1 || times.scalar_type() != at::kDouble)
    throw Error(ErrorKind::invalid_argument,
                {.where = "ode.times", .rule = "must be a vector of doubles"});
  const auto call = c10::make_intrusive<AdjointCall>(field, parameters, options);
  const at::TensorList list = call->parameters;
  return OdeAdjoint::apply(y0, times, list, call);
}

}  // namespace residua
