#pragma once
// "All You Need is Beyond a Good Init: Exploring Better Solution for Training Extremely Deep
// Convolutional Neural Networks with Orthonormality and Modulation" (Xie, Xiong, Pu 2017,
// arXiv:1703.01827): plain networks of a hundred layers by orthonormal filters
//
//   loss + penalty / 2 * sum_l |W_l^T W_l - I|_F^2      (W_l: fan_in x out, one column a filter)
//
// and by carrying the norm of the backward error from block to block (error_modulation.h). Here a
// point of modulation is a block's output, and the stream's begin. The penalty replaces weight
// decay on the branches' weights: optim.rules = ["layer*.conv*.weight: weight_decay=0"].

#include <array>

#include "residua/connections/connection.h"

namespace residua {

enum class Modulation {
  off,
  always,
  outside,  // only after a backward pass whose error would have changed by more than 1 / q
};

template <>
struct EnumNames<Modulation> {
  static constexpr std::array names{"off", "always", "outside"};
};

// orthonormal
void add_orthonormal_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
