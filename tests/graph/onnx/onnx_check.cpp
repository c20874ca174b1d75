#include "tests/graph/onnx/onnx_check.h"

#include <onnx/checker.h>
#include <onnx/defs/parser.h>
#include <onnx/shape_inference/implementation.h>

#include <fstream>
#include <stdexcept>

namespace residua::testing {

std::string onnx_objection(const std::string& path) {
  try {
    onnx::ModelProto model;
    std::ifstream file(path, std::ios::binary);
    if (!model.ParseFromIstream(&file)) return "cannot be parsed";
    onnx::checker::check_model(path);  // by its path: external data is looked for beside it
    const onnx::ShapeInferenceOptions options{true, 1, true};  // types checked, strict, with data
    onnx::shape_inference::InferShapes(model, onnx::OpSchemaRegistry::Instance(), options);
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

std::string onnx_from_text(const std::string& graph, int opset) {
  onnx::ModelProto model;
  const std::string text =
      "<ir_version: 8, opset_import: [\"\" : " + std::to_string(opset) + "]> model " + graph;
  const auto status = onnx::OnnxParser::Parse(model, text.c_str());
  if (!status.IsOK()) throw std::runtime_error(status.ErrorMessage());
  return model.SerializeAsString();
}

}  // namespace residua::testing
