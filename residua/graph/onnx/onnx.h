#pragma once
// ONNX files, read and written. What is written are standard operators of opset 17, IR version 8;
// read are models of opsets 9 to 20 with the operators that vision and language models use.
//
//   Graph graph = read_onnx("resnet50.onnx", {.sizes = {{"batch", 8}}}).graph;
//   write_onnx(graph, "copy.onnx");
//
// Format: https://github.com/onnx/onnx (docs/IR.md, docs/Operators.md).

#include <map>
#include <string>

#include "residua/graph/graph.h"
#include "residua/io/file.h"

namespace residua {

inline constexpr int64_t kOnnxOpset = 17;
inline constexpr int64_t kOnnxIrVersion = 8;
inline constexpr int64_t kOldestOnnxOpset = 9, kNewestOnnxOpset = 20;

struct OnnxReadOptions {
  // Sizes of the file's named dimensions; a dimension without a name is called `<input>.<axis>`.
  std::map<std::string, int64_t> sizes = {};
  int64_t default_size = 1;  // of all others
};

struct OnnxModel {
  Graph graph;
  // Dimensions that the file leaves open but that some operation does not follow as factor * size +
  // offset, with that place: the graph has one size of them.
  std::map<std::string, std::string> fixed;
};

// Shape computations are done while reading: what remains are numbers that follow symbols. Weights
// stay in the mapped file. External data must lie in the model's folder.
//
// Throws ErrorKind::not_found for a missing file or an unknown name in `sizes`, io, corrupt_file
// for bytes that break the format or an operator's rule, limit, unsupported for operators and types
// that Residua does not have, naming the node.
OnnxModel read_onnx(const std::string& path, const OnnxReadOptions& options = {});

// The same of bytes; `name` stands for the file in errors, and external data is refused.
OnnxModel parse_onnx(OwnedBytes bytes, const std::string& name,
                     const OnnxReadOptions& options = {});

struct OnnxWriteOptions {
  // Constants of more bytes in all go to a second file, `<path>.data` (protobuf allows 2 GB).
  int64_t external_above = int64_t{1900} << 20;
};

// Fused forms become standard operators, symbols named dimensions, and numbers that follow them
// shape computations. Throws ErrorKind::unsupported, naming the node, for what ONNX cannot say, and
// io.
void write_onnx(const Graph& graph, const std::string& path, const OnnxWriteOptions& options = {});

}  // namespace residua
