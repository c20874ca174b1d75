#pragma once
// The options of optimisers, schedules and parameter rules. Free of libtorch, so that help and
// configuration need none.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "residua/core/options.h"

namespace residua {

// Which parameters decay, and how fast each learns. A rule is `PATTERN: KEY=NUMBER, ...` with keys
// `lr_scale` and `weight_decay`, and a shell pattern over parameter names: "fc.*: lr_scale=10,
// weight_decay=0". Later rules override earlier ones; a rule that matches no parameter is an error.
struct ParameterRules {
  double weight_decay = 5e-4;
  bool decay_norm_and_bias = false;
  std::vector<std::string> rules = {};

  void fields(Fields& f) {
    f.add("weight_decay", weight_decay, "pull of every weight towards zero", {.min = 0});
    f.add("decay_norm_and_bias", decay_norm_and_bias,
          "decay parameters with fewer than two dimensions too (norms, biases)");
    f.add("rules", rules,
          "overrides by name, e.g. \"fc.*: lr_scale=10, weight_decay=0\"; later ones win");
  }
};

// Weight decay is added to the gradient (Sutskever et al. 2013 for the momentum form that PyTorch
// uses).
struct SgdOptions {
  double lr = 0.1;
  double momentum = 0.9;
  double dampening = 0;
  bool nesterov = true;

  void fields(Fields& f) {
    f.add("lr", lr, "peak learning rate", {.min = 0});
    f.add("momentum", momentum, "share of the last step that is kept",
          {.min = 0, .max = 1, .open_max = true});
    f.add("dampening", dampening, "share of the gradient kept out of the momentum",
          {.min = 0, .max = 1});
    f.add("nesterov", nesterov, "look ahead by one momentum step (needs momentum, no dampening)");
  }
};

// Decoupled weight decay (Loshchilov, Hutter 2019).
struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;

  void fields(Fields& f) {
    const Range beta{.min = 0, .max = 1, .open_max = true};
    f.add("lr", lr, "peak learning rate", {.min = 0});
    f.add("beta1", beta1, "decay of the gradient's running mean", beta);
    f.add("beta2", beta2, "decay of the squared gradient's running mean", beta);
    f.add("eps", eps, "added to the denominator", {.min = 0});
  }
};

// A linear rise before the schedule proper, whose length is the sum of both members.
struct Warmup {
  double epochs = 0;
  int64_t steps = 0;
  double start = 0.01;  // factor of the first step

  void fields(Fields& f) {
    f.add("warmup_epochs", epochs, "epochs of linear rise", {.min = 0});
    f.add("warmup_steps", steps, "steps of linear rise, besides warmup_epochs", {.min = 0});
    f.add("warmup_start", start, "factor at the first step of the rise", {.min = 0, .max = 1});
  }
};

struct ConstantScheduleOptions {
  Warmup warmup = {};
  void fields(Fields& f) { warmup.fields(f); }
};

// Half a cosine from 1 to min_factor (Loshchilov, Hutter 2017, without restarts).
struct CosineScheduleOptions {
  Warmup warmup = {};
  double min_factor = 0;
  void fields(Fields& f) {
    warmup.fields(f);
    f.add("min_factor", min_factor, "factor at the end", {.min = 0, .max = 1});
  }
};

struct LinearScheduleOptions {
  Warmup warmup = {};
  double min_factor = 0;
  void fields(Fields& f) {
    warmup.fields(f);
    f.add("min_factor", min_factor, "factor at the end", {.min = 0, .max = 1});
  }
};

struct StepScheduleOptions {
  Warmup warmup = {};
  std::vector<int64_t> milestones = {100, 150};
  double gamma = 0.1;
  void fields(Fields& f) {
    warmup.fields(f);
    f.add("milestones", milestones, "epochs from which the factor falls by gamma", {.min = 0});
    f.add("gamma", gamma, "multiplies the factor at each milestone", {.min = 0, .open_min = true});
  }
};

enum class Anneal { cosine, linear };
template <>
struct EnumNames<Anneal> {
  static constexpr std::array names{"cosine", "linear"};
};

// One cycle (Smith, Topin 2018): up from 1/div to 1 over pct_start of the run, then down to 1/(div
// * final_div).
struct OneCycleScheduleOptions {
  double pct_start = 0.3;
  double div = 25;
  double final_div = 1e4;
  Anneal anneal = Anneal::cosine;
  void fields(Fields& f) {
    f.add("pct_start", pct_start, "share of the run spent rising",
          {.min = 0, .max = 1, .open_max = true});
    f.add("div", div, "peak over first learning rate", {.min = 1});
    f.add("final_div", final_div, "first over last learning rate", {.min = 1});
    f.add("anneal", anneal, "shape of both slopes");
  }
};

}  // namespace residua
