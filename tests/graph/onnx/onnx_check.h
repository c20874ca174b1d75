#pragma once
// libonnx's own judgement of a file, behind a file of its own because its headers are large.

#include <string>

namespace residua::testing {

// Empty when the full checker, with strict shape inference, accepts the file; else what it says.
std::string onnx_objection(const std::string& path);

// The bytes of a model in ONNX's text form: `(float[N] X) => (float[N] Y) { Y = Relu(X) }`.
std::string onnx_from_text(const std::string& graph, int opset);

}  // namespace residua::testing
