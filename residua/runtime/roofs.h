#pragma once
// What the processor can do at most, measured: the roofs that rates of layers are held against
// ("Roofline: an insightful visual performance model for multicore architectures", Williams,
// Waterman, Patterson, CACM 2009).

#include <map>

#include "residua/io/dtype.h"
#include "residua/runtime/plan.h"

namespace residua {

struct Roofs {
  int threads = 1;
  std::map<DType, double> operations;  // a second, by the type of the factors: f32, bf16, u8
  double bytes = 0;                    // a second, from or to main memory

  // Of a layer: what its arithmetic allows, or its bytes, whichever is less. 0 where not known.
  double of(const LayerInfo& layer) const;
};

// The fastest matrix product of oneDNN whose factors stay in the cache; counted as a multiplication
// and an addition each. 0 where the processor cannot multiply the type.
double measure_operations(DType factors, int threads);

// The faster of reading and of copying memory that no cache holds.
double measure_bytes(int threads);

// Takes half a second for each type, and somewhat more for the memory.
Roofs measure_roofs(const std::vector<DType>& types, int threads);

}  // namespace residua
