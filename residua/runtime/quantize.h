#pragma once
// Post-training quantization: a graph whose convolutions and linear maps read eight-bit integers,
// written with quantize and dequantize nodes, which plans turn into integer kernels.
//
//   optimise(graph);   // norms, summands and functions go into the products first (graph/passes)
//   Graph integer = quantize(graph, samples, {.calibration = Calibration::entropy});
//   Plan plan(integer);
//
// Activations get one scale each: u8 where they are never negative, else s8, both without zero
// point. Weights get a scale for each output channel. A summand is quantized too, so that residual
// additions are in integers; what a max pool reads takes the scale of what it gives.

#include <span>
#include <string>
#include <vector>

#include "residua/runtime/calibrate.h"

namespace residua {

struct QuantizeOptions {
  Calibration calibration = Calibration::percentile;
  double percentile = 99.99;
  // Subtracts from the bias what rounding the weights adds on average ("Data-Free Quantization
  // Through Weight Equalization and Bias Correction", arXiv:1906.04721, section 4.2).
  bool bias_correction = true;
  std::vector<std::string> keep = {};  // names of nodes that stay in real numbers
  int64_t threads = 0;                 // of the calibration
  void fields(Fields& f);
};

// Throws ErrorKind::not_found for a name in `keep` that no node has, and what observe_values
// throws.
Graph quantize(const Graph& graph, std::span<const CalibrationSample> samples,
               const QuantizeOptions& options = {});

}  // namespace residua
