#pragma once
// "Deep Networks with Stochastic Depth" (Huang, Sun, Liu, Sedra, Weinberger 2016,
// arXiv:1603.09382): in training each branch is left out at random, x <- S(x) + b y with
// b ~ Bernoulli(p_l); at test x <- S(x) + p_l y.

#include <array>

#include "residua/connections/connection.h"

namespace residua {

enum class SurvivalRule { linear, uniform };
enum class DropMode {
  batch,  // one draw for a batch: a branch that is left out is not executed at all
  row,    // one draw for each sample ("drop path"): all are executed
};
enum class DropScale {
  test,      // y in training, p y at test: the paper
  inverted,  // y / p in training, y at test: timm's DropPath
};

template <>
struct EnumNames<SurvivalRule> {
  static constexpr std::array names{"linear", "uniform"};
};
template <>
struct EnumNames<DropMode> {
  static constexpr std::array names{"batch", "row"};
};
template <>
struct EnumNames<DropScale> {
  static constexpr std::array names{"test", "inverted"};
};

struct StochasticOptions {
  double survival = 0.5;
  SurvivalRule rule = SurvivalRule::linear;
  DropMode mode = DropMode::batch;
  DropScale scale = DropScale::test;

  void fields(Fields& f);
};

// p_l of block l = 1 .. blocks (equation 4): 1 - l / blocks (1 - survival), or `survival` for all.
double survival_probability(const StochasticOptions& options, int64_t l, int64_t blocks);

// stochastic-depth: draws from libtorch's generator.
void add_stochastic_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
