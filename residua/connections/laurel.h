#pragma once
// "LAuReL: Learned Augmented Residual Layer" (Menghani, Kumar, Kumar 2024, arXiv:2411.07501):
// x_{i+1} = alpha f(x_i) + g(x_i, x_{i-1}, ..., x_0) with a learned alpha and a small learned g.

#include <array>

#include "residua/connections/connection.h"

namespace residua {

enum class LaurelVariant {
  rw,        // x <- alpha y + beta x
  lr,        // x <- y + x + A B x
  pa,        // x <- alpha y + x + sum_j gamma_j h(x_{i-j})
  rw_lr,     // x <- alpha y + beta (x + A B x)
  rw_lr_pa,  // x <- alpha y + beta (x + A B x) + sum_j gamma_j h(x_{i-j})
  gemma,     // x <- ((x + y) + (x + norm(right(left x)))) / sqrt 2 after attentions (Gemma 3n)
};
enum class LaurelNorm {
  none,
  sigmoid,  // 2 sigmoid(alpha), 2 sigmoid(beta)
  softmax,  // 2 softmax(alpha, beta)
};
enum class LaurelMix { low_rank, identity };
enum class LaurelPer { sublayer, block };

template <>
struct EnumNames<LaurelVariant> {
  static constexpr std::array names{"rw", "lr", "pa", "rw+lr", "rw+lr+pa", "gemma"};
};
template <>
struct EnumNames<LaurelNorm> {
  static constexpr std::array names{"none", "sigmoid", "softmax"};
};
template <>
struct EnumNames<LaurelMix> {
  static constexpr std::array names{"low_rank", "identity"};
};
template <>
struct EnumNames<LaurelPer> {
  static constexpr std::array names{"sublayer", "block"};
};

struct LaurelOptions {
  LaurelVariant variant = LaurelVariant::rw_lr;
  int64_t rank = 0;
  LaurelNorm norm = LaurelNorm::none;
  int64_t history = 3;
  LaurelMix mix = LaurelMix::low_rank;
  LaurelPer per = LaurelPer::sublayer;

  void fields(Fields& f);
};

// laurel. Parameters at connection.{site}: alpha, beta [1], gamma [history], A.weight, B.weight
// (1x1 convolutions on maps); Gemma's linear_left, linear_right, post_laurel_norm. All variants
// but gemma begin as the residual network.
void add_laurel_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
