// ONNX models: what is read must verify, and its shapes must follow their symbols or say why not.
#include "residua/graph/onnx/onnx.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace residua;
  fuzz::expect_error_or_success([&] {
    const OnnxModel model = parse_onnx(fuzz::heap_copy(data, size), "input", {.default_size = 2});
    verify(model.graph);
  });
  return 0;
}
