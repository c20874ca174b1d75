// The interpreter's convolutions, products and attention.
#include <algorithm>
#include <cmath>
#include <limits>

#include "residua/graph/interpret_rules.h"
#include "residua/graph/interpreter.h"

namespace residua {

namespace {

void finish_product(const op::Activation& activation, const Numbers* summand, Numbers& y) {
  for (size_t i = 0; i < y.data.size(); ++i) {
    if (summand != nullptr) y.data[i] += summand->data[i];
    y.data[i] = interpret(activation, y.data[i]);
  }
}

double bias_at(const Numbers* bias, int64_t channel) {
  return bias == nullptr ? 0 : bias->data[static_cast<size_t>(channel)];
}

// Steps of a convolution along depth, height and width.
struct Steps {
  Space stride, before, dilation;
};

template <class Conv>
Steps steps_of(const Conv& o) {
  const std::vector<int64_t> before(o.padding.begin(),
                                    o.padding.begin() + static_cast<ptrdiff_t>(o.stride.size()));
  return {space_of(o.stride), space_of(before, 0, 0), space_of(o.dilation)};
}

// Calls visit(place of the image, place of the kernel) for each place of the image that the kernel
// covers when it lies at (d, h, w) of the output.
template <class Visit>
void each_covered(const Space& image, const Space& kernel, const Steps& s, int64_t d, int64_t h,
                  int64_t w, Visit visit) {
  for (int64_t a = 0; a < kernel.depth; ++a) {
    const int64_t z = d * s.stride.depth - s.before.depth + a * s.dilation.depth;
    if (z < 0 || z >= image.depth) continue;
    for (int64_t b = 0; b < kernel.height; ++b) {
      const int64_t y = h * s.stride.height - s.before.height + b * s.dilation.height;
      if (y < 0 || y >= image.height) continue;
      for (int64_t c = 0; c < kernel.width; ++c) {
        const int64_t x = w * s.stride.width - s.before.width + c * s.dilation.width;
        if (x < 0 || x >= image.width) continue;
        visit((z * image.height + y) * image.width + x, (a * kernel.height + b) * kernel.width + c);
      }
    }
  }
}

template <class Visit>
void each_point(const Space& space, Visit visit) {
  int64_t at = 0;
  for (int64_t d = 0; d < space.depth; ++d)
    for (int64_t h = 0; h < space.height; ++h)
      for (int64_t w = 0; w < space.width; ++w) visit(d, h, w, at++);
}

}  // namespace

void compute(const op::Conv& o, const ReadInputs& in, Outputs& out) {
  const Numbers &x = in[0], &weight = in[1];
  Numbers& y = out[0];
  const Space image = space_of(x.type.shape, 2), kernel = space_of(weight.type.shape, 2);
  const Space result = space_of(y.type.shape, 2);
  const Steps steps = steps_of(o);
  const int64_t channels = weight.type.shape[1], outputs = y.type.shape[1];
  const int64_t per_group = outputs / o.groups;
  for (int64_t n = 0; n < y.type.shape[0]; ++n) {
    for (int64_t k = 0; k < outputs; ++k) {
      const int64_t first = n * x.type.shape[1] + k / per_group * channels;
      double* row = y.data.data() + (n * outputs + k) * result.size();
      each_point(result, [&](int64_t d, int64_t h, int64_t w, int64_t at) {
        double sum = bias_at(in.find(2), k);
        each_covered(image, kernel, steps, d, h, w, [&](int64_t from, int64_t tap) {
          for (int64_t c = 0; c < channels; ++c)
            sum += x.data[static_cast<size_t>((first + c) * image.size() + from)] *
                   weight.data[static_cast<size_t>((k * channels + c) * kernel.size() + tap)];
        });
        row[at] = sum;
      });
    }
  }
  finish_product(o.activation, in.find(3), y);
}

// Each place of x adds the kernel to the places of y that it covers: the adjoint of a convolution.
void compute(const op::ConvTranspose& o, const ReadInputs& in, Outputs& out) {
  const Numbers &x = in[0], &weight = in[1];
  Numbers& y = out[0];
  const Space image = space_of(x.type.shape, 2), kernel = space_of(weight.type.shape, 2);
  const Space result = space_of(y.type.shape, 2);
  const Steps steps = steps_of(o);
  const int64_t channels = x.type.shape[1], per_group = weight.type.shape[1];
  const int64_t outputs = y.type.shape[1];
  for (int64_t n = 0; n < x.type.shape[0]; ++n) {
    for (int64_t k = 0; k < outputs; ++k)
      std::fill_n(y.data.begin() + (n * outputs + k) * result.size(), result.size(),
                  bias_at(in.find(2), k));
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t group = c / (channels / o.groups);
      for (int64_t k = 0; k < per_group; ++k) {
        const double* taps = weight.data.data() + (c * per_group + k) * kernel.size();
        const double* from = x.data.data() + (n * channels + c) * image.size();
        double* to = y.data.data() + (n * outputs + group * per_group + k) * result.size();
        each_point(image, [&](int64_t d, int64_t h, int64_t w, int64_t at) {
          each_covered(result, kernel, steps, d, h, w,
                       [&](int64_t place, int64_t tap) { to[place] += from[at] * taps[tap]; });
        });
      }
    }
  }
}

void compute(const op::Linear& o, const ReadInputs& in, Outputs& out) {
  const Numbers &x = in[0], &weight = in[1];
  Numbers& y = out[0];
  const int64_t inputs = weight.type.shape[1], outputs = weight.type.shape[0];
  const int64_t rows = product_of({x.type.shape.begin(), x.type.shape.end() - 1});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < outputs; ++k) {
      double sum = bias_at(in.find(2), k);
      for (int64_t i = 0; i < inputs; ++i)
        sum += x.data[static_cast<size_t>(r * inputs + i)] *
               weight.data[static_cast<size_t>(k * inputs + i)];
      y.data[static_cast<size_t>(r * outputs + k)] = sum;
    }
  }
  finish_product(o.activation, in.find(3), y);
}

void compute(const op::MatMul& o, const ReadInputs& in, Outputs& out) {
  const Numbers &a = in[0], &b = in[1];
  Numbers& y = out[0];
  // Both are read through strides, with their last two axes swapped where that is asked for.
  const auto strides_in = [&](const Numbers& m, bool transpose) {
    Shape as(y.type.shape);
    std::copy(m.type.shape.end() - 2, m.type.shape.end(), as.end() - 2);
    Shape strides = broadcast_strides(m.type.shape, as);
    const Shape own = row_major_strides(m.type.shape);
    std::copy(own.end() - 2, own.end(), strides.end() - 2);
    if (transpose) std::swap(strides[strides.size() - 1], strides[strides.size() - 2]);
    return strides;
  };
  const Shape of_a = strides_in(a, o.transpose_a), of_b = strides_in(b, o.transpose_b);
  const size_t row = y.type.shape.size() - 2, column = row + 1;
  const int64_t inner = a.type.shape[a.type.shape.size() - (o.transpose_a ? 2 : 1)];
  size_t at = 0;
  each_place(y.type.shape, [&](const Shape& index) {
    int64_t from_a = index[row] * of_a[row], from_b = index[column] * of_b[column];
    for (size_t i = 0; i < row; ++i) {
      from_a += index[i] * of_a[i];
      from_b += index[i] * of_b[i];
    }
    double sum = 0;
    for (int64_t k = 0; k < inner; ++k)
      sum += a.data[static_cast<size_t>(from_a + k * of_a[column])] *
             b.data[static_cast<size_t>(from_b + k * of_b[row])];
    y.data[at++] = o.scale * sum;
  });
}

void compute(const op::Attention& o, const ReadInputs& in, Outputs& out) {
  const Numbers &query = in[0], &key = in[1], &value = in[2];
  const Numbers* mask = in.find(3);
  Numbers& y = out[0];
  const Shape &q = query.type.shape, &k = key.type.shape;
  const int64_t heads = q[1], tokens = q[2], width = q[3], keys = k[2];
  const int64_t value_width = value.type.shape[3], share = heads / k[1];
  const Shape of_mask =
      mask == nullptr ? Shape{} : broadcast_strides(mask->type.shape, {q[0], heads, tokens, keys});
  std::vector<double> weights(static_cast<size_t>(keys));
  each_place({q[0], heads, tokens}, [&](const Shape& i) {
    const int64_t row = (i[0] * heads + i[1]) * tokens + i[2];
    const int64_t first = (i[0] * k[1] + i[1] / share) * keys;
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t s = 0; s < keys; ++s) {
      double score = 0;
      for (int64_t c = 0; c < width; ++c)
        score += query.data[static_cast<size_t>(row * width + c)] *
                 key.data[static_cast<size_t>((first + s) * width + c)];
      score *= o.scale;
      if (mask != nullptr)
        score += mask->data[static_cast<size_t>(offset_of({i[0], i[1], i[2], s}, of_mask))];
      if (o.causal && s > i[2] + keys - tokens) score = -std::numeric_limits<double>::infinity();
      weights[static_cast<size_t>(s)] = score;
      largest = maximum_of(largest, score);
    }
    for (double& weight : weights) sum += weight = std::exp(weight - largest);
    for (int64_t s = 0; s < keys; ++s)
      for (int64_t c = 0; c < value_width; ++c)
        y.data[static_cast<size_t>(row * value_width + c)] +=
            weights[static_cast<size_t>(s)] / sum *
            value.data[static_cast<size_t>((first + s) * value_width + c)];
  });
}

void compute(const op::FusedBlock& o, const ReadInputs& in, Outputs& out) {
  const op::Conv grouped{.stride = {o.stride, o.stride},
                         .padding = {o.padding, o.padding, o.padding, o.padding},
                         .groups = o.groups};
  Outputs y{in[0]};
  for (size_t i = 0; i < 3; ++i) {
    op::Conv conv = i == (o.conv_first ? 0 : 1) ? grouped : op::Conv{};
    if (i == 1 || (i == 0 && !o.conv_first)) conv.activation = o.activation;
    const Numbers* const inputs[] = {&y[0], &in[1 + 2 * i], &in[2 + 2 * i]};
    y = interpret(conv, inputs);
  }
  for (size_t i = 0; i < y[0].data.size(); ++i)
    out[0].data[i] = y[0].data[i] + (o.residual ? in[0].data[i] : 0);
}

}  // namespace residua
