#pragma once
// The commands that turn networks into files: what they were asked to do, and the functions that
// do it. Only models of the zoo need the training library; files do not.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "app/network_source.h"
#include "residua/runtime/quantize.h"

namespace residua::app {

struct CompileArguments {
  NetworkArguments network = {};
  std::string dtype = "fp32";  // fp32, bf16, int8 or auto
  std::string out;             // empty: <model>.plan
  CalibrationArguments samples = {};
  QuantizeOptions quantize = {};
  std::string calibration = "percentile";
  bool no_bias_correction = false;
  bool winograd = false, fused_blocks = false, fixed_kernels = false, force = false;
  int64_t threads = 0;
  bool json = false;
};

struct ExportArguments {
  NetworkArguments network = {};
  std::string onnx, torchscript, graph;  // files; at least one
  bool json = false;
};

void add_network_commands(CLI::App& app, CompileArguments& compile, CompileArguments& quantize,
                          ExportArguments& exports);

int compile(const CompileArguments&);  // also `quantize`, with dtype=int8
int export_network(const ExportArguments&);

}  // namespace residua::app
