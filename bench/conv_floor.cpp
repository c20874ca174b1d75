// The floor of a training step: its convolutions alone, forwards and backwards, by oneDNN
// primitives that are created once, in the layouts that oneDNN likes best. No framework that uses
// these convolutions can take less time. Speaks the protocol of train_step.cpp (the layout is read
// and not used):
//
//   conv_floor THREADS

#include <omp.h>
#include <torch/torch.h>

#include <cstring>
#include <ctime>
#include <dnnl.hpp>
#include <iostream>
#include <map>

#include "residua/core/allocator.h"
#include "residua/core/json.h"
#include "residua/models/model.h"
#include "residua/nn/conv.h"
#include "residua/nn/observe.h"

namespace {

using dnnl::memory;
using residua::Json;
using Dims = memory::dims;

double clock_ms(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
}

struct ConvShape {
  Dims src, weights, dst;
  int64_t stride, padding;
};

std::vector<ConvShape> conv_shapes(const std::string& name) {
  const auto model = residua::models().create(name, residua::Random(1));
  std::vector<ConvShape> shapes;
  const residua::ForwardObserver observer(
      [&](const torch::nn::Module& layer, const at::Tensor& in, const at::Tensor& out) {
        const auto* conv = dynamic_cast<const residua::Conv2d*>(&layer);
        if (!conv) return;
        const auto& o = conv->options();
        if (o.groups != 1 || o.dilation != 1)
          throw std::runtime_error("the floor is written for plain convolutions");
        shapes.push_back(
            {in.sizes().vec(), conv->weight.sizes().vec(), out.sizes().vec(), o.stride, o.padding});
      });
  const torch::NoGradGuard no_grad;
  const auto& info = model->info();
  model->forward(torch::zeros(
      {name == "resnet20" ? 128 : 16, info.in_channels, info.input_height, info.input_width}));
  return shapes;
}

// One convolution with the memory and primitives of its three computations.
class Convolution {
 public:
  Convolution(const dnnl::engine& engine, const ConvShape& s, memory::data_type type, bool first) {
    const auto any = memory::format_tag::any;
    const memory::desc src(s.src, type, any), weights(s.weights, type, any), dst(s.dst, type, any);
    const Dims strides{s.stride, s.stride}, padding{s.padding, s.padding};
    const auto direct = dnnl::algorithm::convolution_direct;
    using Forward = dnnl::convolution_forward;
    using Data = dnnl::convolution_backward_data;
    using Weights = dnnl::convolution_backward_weights;
    const Forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, direct, src, weights, dst, strides, padding, padding},
        engine);
    const Weights::primitive_desc by_weights({direct, src, weights, dst, strides, padding, padding},
                                             engine, forward);
    steps_.push_back({Forward(forward),
                      {{DNNL_ARG_SRC, memory(forward.src_desc(), engine)},
                       {DNNL_ARG_WEIGHTS, memory(forward.weights_desc(), engine)},
                       {DNNL_ARG_DST, memory(forward.dst_desc(), engine)}}});
    steps_.push_back({Weights(by_weights),
                      {{DNNL_ARG_SRC, memory(by_weights.src_desc(), engine)},
                       {DNNL_ARG_DIFF_WEIGHTS, memory(by_weights.diff_weights_desc(), engine)},
                       {DNNL_ARG_DIFF_DST, memory(by_weights.diff_dst_desc(), engine)}}});
    if (first) return;  // nobody asks for the gradient of the images
    const Data::primitive_desc by_data({direct, src, weights, dst, strides, padding, padding},
                                       engine, forward);
    steps_.push_back({Data(by_data),
                      {{DNNL_ARG_DIFF_SRC, memory(by_data.diff_src_desc(), engine)},
                       {DNNL_ARG_WEIGHTS, memory(by_data.weights_desc(), engine)},
                       {DNNL_ARG_DIFF_DST, memory(by_data.diff_dst_desc(), engine)}}});
  }

  void forward(dnnl::stream& stream) { steps_[0].primitive.execute(stream, steps_[0].arguments); }
  void backward(dnnl::stream& stream) {
    for (size_t i = 1; i < steps_.size(); ++i)
      steps_[i].primitive.execute(stream, steps_[i].arguments);
  }
  void fill() {
    for (Step& step : steps_)
      for (auto& [index, m] : step.arguments)
        std::memset(m.get_data_handle(), 0, m.get_desc().get_size());
  }

 private:
  struct Step {
    dnnl::primitive primitive;
    std::unordered_map<int, memory> arguments;
  };
  std::vector<Step> steps_;
};

}  // namespace

int main(int argc, char** argv) {
  residua::tune_allocator();
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  at::set_num_threads(threads);
  omp_set_num_threads(threads);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  std::map<std::string, std::vector<Convolution>> modes;
  std::string name, type, layout;
  for (int steps = 0; std::cin >> name >> type >> layout >> steps;) {
    auto& convolutions = modes[name + type];
    if (convolutions.empty())
      for (const ConvShape& shape : conv_shapes(name)) {
        const auto data = type == "bf16" ? memory::data_type::bf16 : memory::data_type::f32;
        convolutions.emplace_back(engine, shape, data, convolutions.empty());
        convolutions.back().fill();
      }
    Json wall = Json::array(), cpu = Json::array();
    for (int i = -1; i < steps; ++i) {
      const double w = clock_ms(CLOCK_MONOTONIC), c = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
      for (auto& convolution : convolutions) convolution.forward(stream);
      for (auto at = convolutions.rbegin(); at != convolutions.rend(); ++at) at->backward(stream);
      stream.wait();
      if (i < 0) continue;  // the first one warms up
      wall.push_back(clock_ms(CLOCK_MONOTONIC) - w);
      cpu.push_back(clock_ms(CLOCK_PROCESS_CPUTIME_ID) - c);
    }
    std::cout << Json{{"threads", threads}, {"ms", wall}, {"cpu_ms", cpu}}.dump() << std::endl;
  }
}
