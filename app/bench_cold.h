#pragma once
// The first run of a model in a process of its own, so that what a process pays once is paid by
// every variant, and its memory is that of nothing else.

#include "app/bench_subjects.h"

namespace residua::app {

struct ColdStart {
  double open = 0, compile = 0, first = 0;  // seconds
  int64_t peak_bytes = 0;                   // resident
};

// Must be called before this process computes anything, because threads do not outlive a fork.
// Failures of the model are thrown as in this process; ErrorKind::io where there is no process.
ColdStart measure_cold_start(const BenchSource& source, const BenchRequest& request,
                             const BenchArguments& arguments);

}  // namespace residua::app
