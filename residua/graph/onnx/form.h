#pragma once
// The messages of an ONNX file and what they hold (internal to graph/onnx).

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "residua/graph/graph.h"
#include "residua/io/tensor_file.h"
#include "residua_onnx/onnx_form.pb.h"

namespace residua {

namespace pb = onnx_form;

std::optional<DType> dtype_of_onnx(int32_t data_type);
int32_t onnx_of_dtype(DType dtype);

// An initialiser of the main graph: its bytes stay in the file.
struct StoredTensor {
  pb::TensorProto form;  // without raw_data
  std::optional<std::span<const std::byte>> raw = {};
};

struct OnnxFile {
  std::string path;                   // that errors name
  std::optional<std::string> folder;  // of external data; none: it is refused
  OwnedBytes bytes;
  pb::ModelProto model;  // without the initialisers of the main graph
  std::vector<StoredTensor> initializers;
};

// Checks structure, nesting and the number of parts before anything is allocated for them. Throws
// ErrorKind::corrupt_file or limit.
std::shared_ptr<const OnnxFile> split_onnx(OwnedBytes bytes, std::string path,
                                           std::optional<std::string> folder);

// The elements of a tensor, by pointer where they lie as bytes. Throws ErrorKind::corrupt_file,
// limit or unsupported, naming `where`.
TensorData onnx_tensor(std::shared_ptr<const OnnxFile> file, const pb::TensorProto& form,
                       std::optional<std::span<const std::byte>> raw, const std::string& where);

// The bytes that a tensor has in another file.
OwnedBytes onnx_external_bytes(const OnnxFile& file, const pb::TensorProto& form, uint64_t bytes,
                               const std::string& where);

// Names of dimensions: `batch`, `2*tokens+1`.
std::string dimension_text(const SymbolRule& rule);
SymbolRule parse_dimension(const std::string& text);

}  // namespace residua
