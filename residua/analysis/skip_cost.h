#pragma once
// Probe skip-cost: what a trained network with connection skipnet saves and what that costs, beside
// the same network with all gates open and with coins of the same bias in their place.

#include "residua/analysis/probe.h"

namespace residua {

struct SkipCostOptions {
  int64_t images = 1000;
  int64_t draws = 3;
  int64_t repeats = 3;

  void fields(Fields& f);
};

// Metrics: top1; executed, the part of the gated blocks that ran; macs and open.macs for an image,
// as observed, gates included; saving = 1 - macs / open.macs; open.top1; random.top1, random.macs
// with each gate open with probability `executed`; seconds and open.seconds over the images, and
// time_saving; brightness_correlation of an image's mean value and the number of its blocks that
// ran (0 where either does not vary). Series: how often each block ran.
void add_skip_cost_probe(Registry<Probe>& probes);

}  // namespace residua
