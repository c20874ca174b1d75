// Fused layers and steps against libtorch's own operations. Run with --benchmark_filter=... ;
// RESIDUA_THREADS sets the threads (default 1).

#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <cstdlib>

#include "residua/core/allocator.h"
#include "residua/nn/batch_norm.h"
#include "residua/optim/sgd.h"

namespace {

using residua::Act;

struct Images {
  int64_t n, channels, size;
};
// The normalisations of resnet20 (batch 128, 32x32) and resnet50 (batch 16, 224x224) that move most
// memory.
constexpr Images kImages[] = {{128, 16, 32}, {128, 32, 16}, {128, 64, 8}, {16, 64, 112},
                              {16, 256, 56}, {16, 512, 28}, {16, 2048, 7}};

at::Tensor images(const Images& i, at::ScalarType type) {
  return torch::randn({i.n, i.channels, i.size, i.size})
      .to(type)
      .contiguous(at::MemoryFormat::ChannelsLast);
}

void normalise_add_relu(benchmark::State& state, at::ScalarType type, bool fused) {
  const Images& i = kImages[state.range(0)];
  const bool add = state.range(1) != 0;
  residua::BatchNorm2d bn(i.channels);
  const at::Tensor x = images(i, type).requires_grad_(), dy = images(i, type);
  const at::Tensor residual = add ? images(i, type).requires_grad_() : at::Tensor();
  for (auto _ : state) {
    at::Tensor y;
    if (fused) {
      y = residua::batch_norm_act(bn, x, Act::relu, residual);
    } else {
      y = at::batch_norm(x, bn.weight, bn.bias, bn.running_mean, bn.running_var, true, 0.1, 1e-5,
                         false);
      y = (add ? y + residual : y).relu_();
    }
    y.backward(dy);
    for (const at::Tensor& t : {x, bn.weight, bn.bias, residual})
      if (t.defined()) t.mutable_grad().reset();
  }
  state.SetLabel(std::to_string(i.channels) + " channels, " + std::to_string(i.size) + "^2" +
                 (add ? ", residual" : ""));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) *
                          static_cast<int64_t>(x.nbytes()));
}

void sgd(benchmark::State& state, bool fused) {
  std::vector<at::Tensor> parameters;
  for (int64_t i = 0; i < 60; ++i)
    parameters.push_back(torch::randn({1 << (8 + i % 12)}).requires_grad_());
  for (const at::Tensor& p : parameters) p.mutable_grad() = torch::randn_like(p.detach());
  std::vector<std::string> names;
  for (size_t i = 0; i < parameters.size(); ++i) names.push_back(std::to_string(i));
  const auto ours = residua::make_sgd(
      {{.names = names, .parameters = parameters, .weight_decay = 5e-4}}, {.lr = 1e-6});
  torch::optim::SGD theirs(
      parameters, torch::optim::SGDOptions(1e-6).momentum(0.9).nesterov(true).weight_decay(5e-4));
  for (auto _ : state) {
    if (fused) {
      ours->step();
    } else {
      theirs.step();
    }
  }
}

BENCHMARK_CAPTURE(normalise_add_relu, fused_fp32, at::kFloat, true)
    ->ArgsProduct({{0, 1, 2, 3, 4, 5, 6}, {0, 1}});
BENCHMARK_CAPTURE(normalise_add_relu, libtorch_fp32, at::kFloat, false)
    ->ArgsProduct({{0, 1, 2, 3, 4, 5, 6}, {0, 1}});
BENCHMARK_CAPTURE(normalise_add_relu, fused_bf16, at::kBFloat16, true)
    ->ArgsProduct({{0, 1, 2, 3, 4, 5, 6}, {0, 1}});
BENCHMARK_CAPTURE(normalise_add_relu, libtorch_bf16, at::kBFloat16, false)
    ->ArgsProduct({{0, 1, 2, 3, 4, 5, 6}, {0, 1}});
BENCHMARK_CAPTURE(sgd, fused, true);
BENCHMARK_CAPTURE(sgd, libtorch, false);

}  // namespace

int main(int argc, char** argv) {
  residua::tune_allocator();
  const char* threads = std::getenv("RESIDUA_THREADS");
  at::set_num_threads(threads ? std::atoi(threads) : 1);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
