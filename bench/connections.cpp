// What carrying the residual stream by a connection costs, and what connections that leave out
// branches save. RESIDUA_THREADS sets the threads (default 1).

#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <cstdlib>

#include "residua/connections/skipnet.h"
#include "residua/core/allocator.h"
#include "residua/models/language/gpt.h"
#include "residua/models/vision/resnet_cifar.h"
#include "residua/nn/linear.h"
#include "residua/nn/pool.h"

namespace {

using residua::ResNetCifar;
using residua::ResNetCifarOptions;

at::Tensor images(int64_t batch) {
  torch::manual_seed(1);
  return torch::randn({batch, 3, 32, 32}).contiguous(at::MemoryFormat::ChannelsLast);
}

ResNetCifar made(const ResNetCifarOptions& options) {
  ResNetCifar model(options, residua::Random(1));
  for (at::Tensor& p : model.parameters())
    if (p.dim() == 4) p.set_data(p.contiguous(at::MemoryFormat::ChannelsLast));
  return model;
}

// The network as a loop over its blocks, without the stream.
at::Tensor by_hand(ResNetCifar& model, const at::Tensor& x) {
  const auto parts = model.named_children();
  auto& conv1 = dynamic_cast<residua::Conv2d&>(*parts["conv1"]);
  auto& bn1 = dynamic_cast<residua::BatchNorm2d&>(*parts["bn1"]);
  auto& pool = dynamic_cast<residua::GlobalAveragePool&>(*parts["avgpool"]);
  auto& linear = dynamic_cast<residua::Linear&>(*parts["linear"]);
  at::Tensor y = residua::batch_norm_act(bn1, conv1.forward(x), residua::Act::relu);
  for (const auto& stage : model.stages())
    for (const auto& block : stage->blocks()) y = block->fused(y, true);
  return linear.forward(pool.forward(y));
}

template <class Forward>
void steps(benchmark::State& state, ResNetCifar& model, const Forward& forward) {
  const at::Tensor x = images(state.range(0));
  model.train();
  for (auto _ : state) {
    at::log_softmax(forward(x), 1).mean().backward();
    model.zero_grad();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}

void resnet20_by_hand(benchmark::State& state) {
  ResNetCifar model = made({});
  steps(state, model, [&](const at::Tensor& x) { return by_hand(model, x); });
}

void resnet20_identity(benchmark::State& state) {
  ResNetCifar model = made({});
  steps(state, model, [&](const at::Tensor& x) { return model.forward(x); });
}

// A small GPT, range(0) sequences of 64 tokens.
at::Tensor gpt_by_hand(residua::Gpt& model, const at::Tensor& ids) {
  at::Tensor x = model.embed(ids);
  for (const auto& block : model.blocks()) {
    const residua::Attention& attention = *block->attention->attention;
    const auto [q, k, v] = attention.project(block->attention->norm->forward(x));
    x = x + attention.output(attention.mix(q, k, v, /*causal=*/true));
    x = x + block->mlp->forward(x);
  }
  return model.unembed(x);
}

template <class Forward>
void gpt_steps(benchmark::State& state, const Forward& forward) {
  residua::Gpt model({}, residua::Random(1));
  torch::manual_seed(1);
  const at::Tensor ids =
      torch::randint(model.options().vocab_size, {state.range(0), model.options().ctx});
  model.train();
  for (auto _ : state) {
    at::log_softmax(forward(model, ids), -1).mean().backward();
    model.zero_grad();
  }
}

void gpt_mini_by_hand(benchmark::State& state) { gpt_steps(state, gpt_by_hand); }

void gpt_mini_identity(benchmark::State& state) {
  gpt_steps(state, [](residua::Gpt& model, const at::Tensor& ids) { return model.forward(ids); });
}

// ResNet-56 whose blocks live with probabilities that fall to range(1) / 100.
void resnet56_stochastic(benchmark::State& state) {
  ResNetCifar model =
      made({.n = 9,
            .connection = {"stochastic-depth",
                           {{"survival", static_cast<double>(state.range(1)) / 100}}}});
  steps(state, model, [&](const at::Tensor& x) { return model.forward(x); });
}

// Evaluation of SkipNet-38 when range(1) percent of the decisions are to pass over a block.
void skipnet38_evaluation(benchmark::State& state) {
  ResNetCifar model = made({.n = 6, .connection = "skipnet"});
  const double skipped = static_cast<double>(state.range(1)) / 100;
  dynamic_cast<residua::SkipNet&>(model.connection())
      .decide_by([skipped](const residua::Site&, const at::Tensor& z) {
        return at::rand_like(z).ge(skipped).to(z.scalar_type());
      });
  const at::NoGradGuard no_grad;
  const at::Tensor x = images(state.range(0));
  model.eval();
  for (auto _ : state) benchmark::DoNotOptimize(model.forward(x));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}

BENCHMARK(resnet20_by_hand)->Arg(128)->Unit(benchmark::kMillisecond);
BENCHMARK(resnet20_identity)->Arg(128)->Unit(benchmark::kMillisecond);
BENCHMARK(gpt_mini_by_hand)->Arg(32)->Unit(benchmark::kMillisecond);
BENCHMARK(gpt_mini_identity)->Arg(32)->Unit(benchmark::kMillisecond);
BENCHMARK(resnet56_stochastic)
    ->ArgsProduct({{128}, {100, 50}})
    ->Unit(benchmark::kMillisecond)
    ->MinTime(10);  // a mean over many draws of the blocks
BENCHMARK(skipnet38_evaluation)
    ->ArgsProduct({{128}, {0, 25, 50, 75, 100}})
    ->Unit(benchmark::kMillisecond);

}  // namespace

int main(int argc, char** argv) {
  residua::tune_allocator();
  const char* threads = std::getenv("RESIDUA_THREADS");
  at::set_num_threads(threads ? std::atoi(threads) : 1);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
