#pragma once
// What all fuzz targets share: a reader may refuse its input by residua::Error of a kind that a
// foreign file can cause, and by nothing else.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "residua/core/error.h"
#include "residua/io/tensor_file.h"

namespace residua::fuzz {

template <class Reader>
void expect_error_or_success(Reader reader) {
  try {
    reader();
  } catch (const Error& error) {
    const bool foreign = error.kind() == ErrorKind::corrupt_file ||
                         error.kind() == ErrorKind::limit || error.kind() == ErrorKind::unsupported;
    if (!foreign || error.text().where.empty()) std::abort();
  }
}

// Its own heap block, so that a read beyond it is seen.
inline OwnedBytes heap_copy(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  return own_bytes({bytes.begin(), bytes.end()});
}

// Reads each tensor and looks at every byte. A few bytes may repeat one storage into many tensors;
// what a caller would spend on reading them all is not the reader's fault, so the target stops at
// some megabytes.
inline void read_tensors(const TensorFile& file) {
  size_t total = 0;
  unsigned sum = 0;
  for (const TensorInfo& info : file.tensors()) {
    expect_error_or_success([&] {
      const TensorData tensor = file.read(info.name);
      if (tensor.bytes.size() !=
          static_cast<size_t>(checked_bytes(info.shape, info.dtype, info.name)))
        std::abort();
      for (const std::byte b : tensor.bytes) sum += static_cast<unsigned>(b);
      total += tensor.bytes.size() + 1000;
    });
    if (total > (8 << 20)) break;
  }
  volatile unsigned sink = sum;
  static_cast<void>(sink);
}

}  // namespace residua::fuzz
