#include "residua/io/safetensors.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace residua;
  fuzz::expect_error_or_success(
      [&] { fuzz::read_tensors(*parse_safetensors(fuzz::heap_copy(data, size), "input")); });
  return 0;
}
