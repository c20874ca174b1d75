// Training steps of Residua, timed: the peer of bench/train_step.py, whose protocol it shares.
// Reads `MODEL TYPE LAYOUT STEPS` lines, answers each with a JSON line of milliseconds per step:
// wall clock, and processor time of all threads.
//
//   train_step THREADS [--default-allocator]

#include <cstring>
#include <ctime>
#include <iostream>
#include <map>
#include <tuple>

#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include "residua/core/allocator.h"
#include "residua/core/json.h"
#include "residua/models/model.h"
#include "residua/optim/optimizer.h"

namespace {

using residua::Json;

double clock_ms(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
}

class TrainingMode {
 public:
  TrainingMode(const std::string& name, bool bf16, bool last) : bf16_(bf16) {
    const bool small = name == "resnet20";
    model_ = residua::models().create(name, residua::Random(1));
    const auto layout = last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
    if (last)
      for (at::Tensor p : model_->parameters())
        if (p.dim() == 4) p.set_data(p.detach().contiguous(layout));
    x_ = (small ? torch::randn({128, 3, 32, 32}) : torch::randn({16, 3, 224, 224}))
             .contiguous(layout);
    labels_ = torch::randint(small ? 10 : 1000, {x_.size(0)}, torch::kLong);
    optimizer_ = residua::optimizers().create(
        {"sgd", {{"lr", 0.01}, {"momentum", 0.9}, {"nesterov", true}}},
        residua::parameter_groups(*model_, {.decay_norm_and_bias = true}));
    step();
    step();
  }

  void step() {
    at::Tensor loss;
    {
      const bool before = at::autocast::is_cpu_enabled();
      at::autocast::set_cpu_enabled(bf16_);
      at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
      loss = torch::nn::functional::cross_entropy(model_->forward(x_), labels_);
      at::autocast::clear_cache();
      at::autocast::set_cpu_enabled(before);
    }
    loss.backward();
    optimizer_->step();
    optimizer_->zero_grad();
  }

 private:
  bool bf16_;
  std::shared_ptr<residua::Model> model_;
  std::shared_ptr<residua::Optimizer> optimizer_;
  at::Tensor x_, labels_;
};

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  if (argc < 3 || std::strcmp(argv[2], "--default-allocator") != 0) residua::tune_allocator();
  at::set_num_threads(threads);
  std::map<std::tuple<std::string, std::string, std::string>, std::unique_ptr<TrainingMode>> modes;
  std::string name, type, layout;
  for (int steps = 0; std::cin >> name >> type >> layout >> steps;) {
    auto& mode = modes[{name, type, layout}];
    if (!mode) mode = std::make_unique<TrainingMode>(name, type == "bf16", layout == "nhwc");
    Json wall = Json::array(), cpu = Json::array();
    for (int i = 0; i < steps; ++i) {
      const double w = clock_ms(CLOCK_MONOTONIC), c = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
      mode->step();
      wall.push_back(clock_ms(CLOCK_MONOTONIC) - w);
      cpu.push_back(clock_ms(CLOCK_PROCESS_CPUTIME_ID) - c);
    }
    std::cout << Json{{"threads", threads}, {"ms", wall}, {"cpu_ms", cpu}}.dump() << std::endl;
  }
}
