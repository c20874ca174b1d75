#pragma once
// Probes of stiffness (analysis/dynamics/stiffness.h).

#include "residua/analysis/probe.h"

namespace residua {

struct OdeStiffnessOptions {
  double mu = 100;
  double step = 1e-3;
  double time = 200;

  void fields(Fields& f);
};

struct StiffnessOptions {
  int64_t images = 500;

  void fields(Fields& f);
};

struct AttentionPruningOptions {
  double part = 0.5;
  int64_t draws = 5;
  int64_t images = 1000;

  void fields(Fields& f);
};

// ode-stiffness: a stiff oscillator of Van der Pol and a harmonic one, solved with small steps.
// Metrics: van_der_pol.peak_to_median, harmonic.peak_to_median, ratio of the two,
// van_der_pol.eigenvalues, harmonic.eigenvalues (the classical stiffness ratio), linear.error (NSI
// of Euler's method on x' = -x against its exact value h).
//
// stiffness: the profile of a trained network over its depth. Metrics: mean, peak_to_median, and
// nsi{i}, z{i} (standardised) of the sites after the first that keep the stream's shape, i = 0, 1,
// ...
//
// attention-pruning: of a trained network with connection attention or stepnet, how much accuracy
// is left when `part` of its modules is taken out: those that change the NSI of their site least,
// or random ones. Metrics: top1, nsi.top1, random.top1, most.top1 (those that change it most).
void add_stiffness_probes(Registry<Probe>& probes);

}  // namespace residua
