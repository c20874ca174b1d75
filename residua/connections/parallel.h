#pragma once
// Branches side by side: a group of k branches reads the same stream, and their outputs are added
// together. "Three things everyone should know about Vision Transformers" (Touvron, Cord,
// El-Nouby, Verbeek, Jegou 2022, arXiv:2203.09795), equation 2: of k blocks the attentions form one
// group and the MLPs the next; "A Neural ODE Interpretation of Transformer Layers" (2022,
// arXiv:2212.06011) groups an attention with its own MLP.

#include <array>
#include <vector>

#include "residua/connections/connection.h"

namespace residua {

enum class ParallelKinds {
  same,   // the first sublayers of k blocks, then their second sublayers
  mixed,  // k branches that follow one another
};

template <>
struct EnumNames<ParallelKinds> {
  static constexpr std::array names{"same", "mixed"};
};

// The groups in order of execution. A branch whose site has a shortcut (where the stream changes
// its shape) stands alone, a group never spans two stages, and a last group may be smaller than k.
std::vector<std::vector<Site>> parallel_groups(const std::vector<Site>& sites, int64_t k,
                                               ParallelKinds kinds);

// parallel: x <- x + sum over the group of f_j(x).
void add_parallel_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
