#include "residua/nn/batch_norm_fused.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/kernels/batch_norm.h"
#include "residua/nn/recompute.h"
#include "residua/nn/tracing.h"

namespace residua {

namespace {

using kernels::Bf16;
using kernels::ReluKind;
using kernels::ReluMask;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto kLast = at::MemoryFormat::ChannelsLast;

// The image batch as a matrix, cut into blocks that depend on nothing but its size: sums over
// blocks, added in order, are the same for any number of threads.
struct ImageRows {
  int64_t rows, channels, block_rows, blocks;

  explicit ImageRows(const at::Tensor& x) : rows(x.numel() / x.size(1)), channels(x.size(1)) {
    block_rows = std::max<int64_t>((rows + 63) / 64, std::max<int64_t>(8192 / channels, 8));
    blocks = (rows + block_rows - 1) / block_rows;
  }

  // body(block, first_row, rows) on the threads.
  template <class Body>
  void parallel(const Body& body) const {
    at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b)
        body(b, b * block_rows, std::min(block_rows, rows - b * block_rows));
    });
  }
};

// Two sums per channel over all rows; block(first_row, rows, first, second) adds a block's share.
template <class Block>
std::pair<std::vector<double>, std::vector<double>> sum_rows(const ImageRows& image,
                                                             const Block& block) {
  const int64_t c = image.channels;
  std::vector<double> partial(2 * image.blocks * c, 0.0);
  image.parallel([&](int64_t b, int64_t row, int64_t n) {
    block(row, n, partial.data() + 2 * b * c, partial.data() + (2 * b + 1) * c);
  });
  std::vector<double> first(c, 0.0), second(c, 0.0);
  for (int64_t b = 0; b < image.blocks; ++b) {
    for (int64_t i = 0; i < c; ++i) first[i] += partial[2 * b * c + i];
    for (int64_t i = 0; i < c; ++i) second[i] += partial[(2 * b + 1) * c + i];
  }
  return {std::move(first), std::move(second)};
}

template <class T>
const T* image_data(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<const T*>(tensor.data_ptr()) : nullptr;
}
template <class T>
T* mutable_image_data(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

template <class Call>
auto with_image_type(const at::Tensor& x, const Call& call) {
  return x.scalar_type() == at::kFloat ? call(float{}) : call(Bf16{});
}

const float* floats(const at::Tensor& t) { return t.data_ptr<float>(); }

at::Tensor empty_floats(int64_t n) { return at::empty({n}, at::kFloat); }

// Mean and 1 / sqrt(variance + eps) of every channel, and the running statistics moved towards mean
// and variance.
template <class T>
void batch_statistics(const at::Tensor& x, BatchNorm2d& bn, const at::Tensor& mean,
                      const at::Tensor& inverse_std) {
  const ImageRows image(x);
  const int64_t c = image.channels;
  const T* data = image_data<T>(x);
  std::vector<float> pivot(c), zero(c, 0.0f), one(c, 1.0f);
  std::vector<double> first(c, 0.0), unused(c, 0.0);
  kernels::column_moments(data, 1, c, zero.data(), first.data(), unused.data());
  for (int64_t i = 0; i < c; ++i)
    pivot[i] = std::isfinite(first[i]) ? static_cast<float>(first[i]) : 0.0f;
  const auto [sum, square] = sum_rows(image, [&](int64_t row, int64_t n, double* s, double* q) {
    kernels::column_moments(data + row * c, n, c, pivot.data(), s, q);
  });
  const double m = static_cast<double>(image.rows);
  const bool moves = !recomputing();
  float *mean_out = mean.data_ptr<float>(), *inverse_out = inverse_std.data_ptr<float>();
  float *running_mean = bn.running_mean.data_ptr<float>(),
        *running_var = bn.running_var.data_ptr<float>();
  for (int64_t i = 0; i < c; ++i) {
    const double shift = sum[i] / m, mu = pivot[i] + shift;
    const double variance = std::max(square[i] / m - shift * shift, 0.0);
    mean_out[i] = static_cast<float>(mu);
    inverse_out[i] = static_cast<float>(1 / std::sqrt(variance + bn.eps));
    if (!moves) continue;
    running_mean[i] = static_cast<float>((1 - bn.momentum) * running_mean[i] + bn.momentum * mu);
    running_var[i] = static_cast<float>((1 - bn.momentum) * running_var[i] +
                                        bn.momentum * variance * m / (m - 1));
  }
}

// y = x * scale + shift, from the statistics.
void affine_from_statistics(const float* mean, const float* inverse_std, const float* weight,
                            const float* bias, int64_t channels, float* scale, float* shift) {
  for (int64_t i = 0; i < channels; ++i) {
    scale[i] = weight[i] * inverse_std[i];
    shift[i] = bias[i] - mean[i] * scale[i];
  }
}

template <class T>
at::Tensor apply_scale_shift(const at::Tensor& x, const at::Tensor& residual,
                             const at::Tensor& scale, const at::Tensor& shift, bool relu) {
  const ImageRows image(x);
  at::Tensor y = at::empty_like(x, kLast);
  const T *from = image_data<T>(x), *added = image_data<T>(residual);
  T* to = mutable_image_data<T>(y);
  image.parallel([&](int64_t, int64_t row, int64_t n) {
    const int64_t at = row * image.channels;
    kernels::scale_shift(from + at, added ? added + at : nullptr, to + at, n, image.channels,
                         floats(scale), floats(shift), relu);
  });
  return y;
}

template <class T>
ReluMask<T> at_row(ReluMask<T> mask, int64_t offset) {
  if (mask.y) mask.y += offset;
  return mask;
}

struct BatchNormGradients {
  at::Tensor x, weight, bias, residual;
};

struct BatchNormSaved {
  at::Tensor x, y, weight, mean, inverse_std, scale,
      shift;  // y only where a residual was added before a ReLU
  bool relu = false, residual = false;
};

template <class T>
BatchNormGradients batch_norm_backward(const BatchNormSaved& saved, const at::Tensor& dy_in) {
  const ImageRows image(saved.x);
  const int64_t c = image.channels;
  const at::Tensor dy = dy_in.to(saved.x.scalar_type()).contiguous(kLast);
  ReluMask<T> mask;
  if (saved.relu && saved.residual) {
    mask.kind = ReluKind::output;
    mask.y = image_data<T>(saved.y);
  } else if (saved.relu) {
    mask = {ReluKind::recompute, nullptr, floats(saved.scale), floats(saved.shift)};
  }
  // With a ReLU the residual's gradient is the masked one: written by the first pass, it is all
  // that the second one reads.
  BatchNormGradients out;
  if (saved.residual) out.residual = saved.relu ? at::empty_like(dy, kLast) : dy;
  T* masked = saved.residual && saved.relu ? mutable_image_data<T>(out.residual) : nullptr;
  const T *g = image_data<T>(dy), *x = image_data<T>(saved.x);
  const float* mean = floats(saved.mean);
  const auto [sum, product] = sum_rows(image, [&](int64_t row, int64_t n, double* s, double* p) {
    const int64_t at = row * c;
    kernels::batch_norm_backward_sums(g + at, x + at, masked ? masked + at : nullptr, n, c, mean,
                                      at_row(mask, at), s, p);
  });
  if (masked) {
    g = masked;
    mask = {};
  }

  out.weight = empty_floats(c);
  out.bias = empty_floats(c);
  const float *scale = floats(saved.scale), *inverse_std = floats(saved.inverse_std);
  float *dw = out.weight.data_ptr<float>(), *db = out.bias.data_ptr<float>();
  std::vector<float> by_x(c), constant(c);
  const double m = static_cast<double>(image.rows);
  for (int64_t i = 0; i < c; ++i) {
    const double s = inverse_std[i];
    dw[i] = static_cast<float>(product[i] * s);
    db[i] = static_cast<float>(sum[i]);
    by_x[i] = static_cast<float>(-scale[i] * s * s * product[i] / m);
    constant[i] = static_cast<float>(-scale[i] * sum[i] / m);
  }
  out.x = at::empty_like(saved.x, kLast);
  T* dx = mutable_image_data<T>(out.x);
  const kernels::BackwardCoefficients k{scale, by_x.data(), constant.data()};
  image.parallel([&](int64_t, int64_t row, int64_t n) {
    const int64_t at = row * c;
    kernels::batch_norm_backward_input(g + at, x + at, dx + at, n, c, mean, at_row(mask, at), k);
  });
  return out;
}

class FusedBatchNorm : public torch::autograd::Function<FusedBatchNorm> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const c10::optional<at::Tensor>& added,
                            BatchNorm2d* bn, bool relu) {
    const at::Tensor residual = added.value_or(at::Tensor());
    const int64_t c = x.size(1);
    const at::Tensor mean = empty_floats(c), inverse_std = empty_floats(c), scale = empty_floats(c),
                     shift = empty_floats(c);
    const at::Tensor y = with_image_type(x, [&](auto type) {
      using T = decltype(type);
      batch_statistics<T>(x, *bn, mean, inverse_std);
      affine_from_statistics(floats(mean), floats(inverse_std), floats(weight), floats(bias), c,
                             scale.data_ptr<float>(), shift.data_ptr<float>());
      return apply_scale_shift<T>(x, residual, scale, shift, relu);
    });
    const bool needs_output = relu && residual.defined();
    ctx->save_for_backward({x, needs_output ? y : at::Tensor(), mean, inverse_std, scale, shift});
    ctx->saved_data["relu"] = relu;
    ctx->saved_data["residual"] = residual.defined();
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list kept = ctx->get_saved_variables();
    const BatchNormSaved saved{kept[0],
                               kept[1],
                               {},
                               kept[2],
                               kept[3],
                               kept[4],
                               kept[5],
                               ctx->saved_data["relu"].toBool(),
                               ctx->saved_data["residual"].toBool()};
    const BatchNormGradients g = with_image_type(saved.x, [&](auto type) {
      return batch_norm_backward<decltype(type)>(saved, gradients[0]);
    });
    return {g.x, g.weight, g.bias, g.residual, at::Tensor(), at::Tensor()};
  }
};

at::Tensor evaluate_fused(const BatchNorm2d& bn, const at::Tensor& x, const at::Tensor& residual,
                          bool relu) {
  const int64_t c = x.size(1);
  const at::Tensor inverse_std = (bn.running_var + bn.eps).rsqrt(), scale = empty_floats(c),
                   shift = empty_floats(c);
  affine_from_statistics(floats(bn.running_mean), floats(inverse_std), floats(bn.weight),
                         floats(bn.bias), c, scale.data_ptr<float>(), shift.data_ptr<float>());
  return with_image_type(x, [&](auto type) {
    return apply_scale_shift<decltype(type)>(x, residual, scale, shift, relu);
  });
}

}  // namespace

bool can_fuse_batch_norm(const BatchNorm2d& bn, const at::Tensor& x) {
  if (is_tracing()) return false;
  const bool type = x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
  // Evaluation with a gradient is rare (adversarial examples, probes) and left to libtorch.
  const bool mode = bn.is_training() || !torch::GradMode::is_enabled();
  return mode && type && x.device().is_cpu() && bn.weight.scalar_type() == at::kFloat &&
         x.numel() > 0 && x.is_contiguous(kLast);
}

at::Tensor fused_batch_norm(BatchNorm2d& bn, const at::Tensor& x, Act act,
                            const at::Tensor& residual) {
  const bool relu = act == Act::relu;
  const at::Tensor added =
      residual.defined() ? residual.to(x.scalar_type()).contiguous(kLast) : residual;
  if (!bn.is_training()) return evaluate_fused(bn, x, added, relu);
  const auto maybe_added = added.defined() ? c10::make_optional(added) : c10::nullopt;
  return FusedBatchNorm::apply(x, bn.weight, bn.bias, maybe_added, &bn, relu);
}

}  // namespace residua
