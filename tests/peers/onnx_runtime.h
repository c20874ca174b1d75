#pragma once
// ONNX Runtime, the peer that ONNX files and speed are compared with: its shared library from the
// npm package onnxruntime-node, through the C interface. Only tests and benchmarks use it.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "residua/io/tensor_file.h"

namespace residua::peers {

// Row-major bytes of a tensor.
struct PeerTensor {
  DType dtype = DType::f32;
  Shape shape;
  std::vector<std::byte> bytes;
};

struct PeerInput {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;                       // -1 where the model leaves it open
  std::vector<std::string> symbols;  // names of open axes
};

struct OnnxRuntimeOptions {
  int threads = 1;
  bool optimise = true;
};

// One loaded model. Every failure is a std::runtime_error with ONNX Runtime's sentence.
class OnnxRuntime {
 public:
  OnnxRuntime(const std::string& model, const OnnxRuntimeOptions& options = {});
  ~OnnxRuntime();

  // Where the library is: $RESIDUA_ONNXRUNTIME, or tests/peers/node_modules of the sources; none
  // when it is not installed.
  static std::optional<std::string> library();
  static std::string version();

  const std::vector<PeerInput>& inputs() const { return inputs_; }
  std::vector<PeerTensor> run(const std::vector<PeerTensor>& inputs);
  void run_only(const std::vector<PeerTensor>& inputs);  // without copying the results

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
  std::vector<PeerInput> inputs_;
  std::vector<std::string> outputs_;
};

}  // namespace residua::peers
