#pragma once
// Probe block-removal: a residual network is an ensemble of paths, so that it bears the loss of
// some blocks (Veit, Wilber, Belongie 2016, arXiv:1605.06431); one trained with stochastic depth
// bears it better (Huang et al. 2016, arXiv:1603.09382).

#include "residua/analysis/probe.h"

namespace residua {

struct BlockRemovalOptions {
  std::vector<int64_t> removed = {1, 2, 5};
  int64_t draws = 5;
  int64_t images = 1000;

  void fields(Fields& f);
};

// Metrics: top1 of the whole network; for each number k of removed branches removed{k}, the mean
// top1 over `draws` random choices, and lost{k} = top1 - removed{k}. The choices depend on the
// seed and the number of branches alone, so that networks of one depth lose the same blocks.
void add_block_removal_probe(Registry<Probe>& probes);

}  // namespace residua
