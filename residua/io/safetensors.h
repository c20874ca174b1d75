#pragma once
// safetensors: eight bytes of header length, a JSON header of names, types, shapes and offsets,
// then the data. Format: https://github.com/huggingface/safetensors (README, "Format").
//
// Beyond the reference's checks (header at most 100 MB, tensors cover the data exactly: no hole, no
// overlap, no trailing bytes) a rank above 8, a name above 1,024 bytes, any nesting but the
// format's and a repeated name are refused. The 4-, 6- and 8-bit float types are
// ErrorKind::unsupported.

#include <map>
#include <memory>
#include <span>
#include <string>

#include "residua/io/tensor_file.h"

namespace residua {

std::unique_ptr<TensorFile> open_safetensors(const std::string& path);  // memory-mapped
std::unique_ptr<TensorFile> parse_safetensors(OwnedBytes bytes, const std::string& path);

// Writes atomically. The bytes depend only on names, types, shapes, data and metadata, not on the
// order given: tensors are laid out as the reference does, wider types first, then by name, and the
// header is padded with spaces so that data starts at a multiple of 8. C128 is not in the format:
// ErrorKind::unsupported.
void write_safetensors(const std::string& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace residua
