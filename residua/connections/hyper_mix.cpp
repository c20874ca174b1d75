#include "residua/connections/hyper_mix.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "residua/nn/tracing.h"

namespace residua {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kTokensPerTask = 64;

struct MixSizes {
  int64_t tokens, n, d;
};

// y += a * x
template <class T>
void add_scaled(int64_t size, T a, const T* x, T* y) {
  for (int64_t i = 0; i < size; ++i) y[i] += a * x[i];
}

template <class T>
T inner_product(int64_t size, const T* x, const T* y) {
  T sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += x[i] * y[i];
  return sum;
}

template <class T>
void mix_forward(const MixSizes& s, const T* streams, const T* alpha, T* first, T* rest) {
  at::parallel_for(0, s.tokens, kTokensPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T* const h = streams + t * s.n * s.d;
      const T* const a = alpha + t * s.n * (s.n + 1);
      for (int64_t o = 0; o <= s.n; ++o) {
        T* const out = o == 0 ? first + t * s.d : rest + (t * s.n + o - 1) * s.d;
        for (int64_t i = 0; i < s.n; ++i) add_scaled(s.d, a[i * (s.n + 1) + o], h + i * s.d, out);
      }
    }
  });
}

template <class T>
void mix_backward(const MixSizes& s, const T* streams, const T* alpha, const T* first,
                  const T* rest, T* streams_grad, T* alpha_grad) {
  at::parallel_for(0, s.tokens, kTokensPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T* const h = streams + t * s.n * s.d;
      T* const h_grad = streams_grad + t * s.n * s.d;
      for (int64_t o = 0; o <= s.n; ++o) {
        const T* const grad = o == 0 ? first + t * s.d : rest + (t * s.n + o - 1) * s.d;
        for (int64_t i = 0; i < s.n; ++i) {
          const int64_t at = (t * s.n + i) * (s.n + 1) + o;
          add_scaled(s.d, alpha[at], grad, h_grad + i * s.d);
          alpha_grad[at] = inner_product(s.d, h + i * s.d, grad);
        }
      }
    }
  });
}

class OnePassMix : public torch::autograd::Function<OnePassMix> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& streams,
                               const at::Tensor& alpha) {
    ctx->save_for_backward({streams, alpha});
    const MixSizes s{streams.size(0), streams.size(1), streams.size(2)};
    at::Tensor first = at::zeros({s.tokens, s.d}, streams.options());
    at::Tensor rest = at::zeros_like(streams);
    AT_DISPATCH_FLOATING_TYPES(streams.scalar_type(), "hyper_mix", [&] {
      mix_forward<scalar_t>(s, streams.data_ptr<scalar_t>(), alpha.data_ptr<scalar_t>(),
                            first.data_ptr<scalar_t>(), rest.data_ptr<scalar_t>());
    });
    return {first, rest};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &streams = saved[0], &alpha = saved[1];
    const MixSizes s{streams.size(0), streams.size(1), streams.size(2)};
    const at::Tensor first = grads[0].contiguous(), rest = grads[1].contiguous();
    at::Tensor streams_grad = at::zeros_like(streams), alpha_grad = at::empty_like(alpha);
    AT_DISPATCH_FLOATING_TYPES(streams.scalar_type(), "hyper_mix", [&] {
      mix_backward<scalar_t>(s, streams.data_ptr<scalar_t>(), alpha.data_ptr<scalar_t>(),
                             first.data_ptr<scalar_t>(), rest.data_ptr<scalar_t>(),
                             streams_grad.data_ptr<scalar_t>(), alpha_grad.data_ptr<scalar_t>());
    });
    return {streams_grad, alpha_grad};
  }
};

}  // namespace

std::pair<at::Tensor, at::Tensor> hyper_mix(const at::Tensor& streams, const at::Tensor& alpha,
                                            bool one_pass) {
  const int64_t n = streams.size(-2), d = streams.size(-1);
  const at::ScalarType type = streams.scalar_type();
  if (!one_pass || is_tracing() || !streams.is_cpu() || type != alpha.scalar_type() ||
      (type != at::kFloat && type != at::kDouble)) {
    const at::Tensor mixed = at::matmul(alpha.transpose(-1, -2), streams);
    return {mixed.select(-2, 0), mixed.narrow(-2, 1, n)};
  }
  std::vector<int64_t> shape = streams.sizes().vec();
  const variable_list mixed = OnePassMix::apply(streams.reshape({-1, n, d}).contiguous(),
                                                alpha.reshape({-1, n, n + 1}).contiguous());
  const at::Tensor rest = mixed[1].view(shape);
  shape.erase(shape.end() - 2);
  return {mixed[0].view(shape), rest};
}

}  // namespace residua
