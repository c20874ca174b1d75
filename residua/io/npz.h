#pragma once
// NumPy's .npy (format 1.0 to 3.0) and .npz (a zip of them, stored or deflated, zip64).
// Any byte order and C or Fortran order is read; bool, integers, float16/32/64 and complex64/128.
// Structured, string and object arrays are ErrorKind::unsupported: object arrays hold pickles,
// which are never run.

#include <memory>
#include <span>
#include <string>

#include "residua/io/tensor_file.h"

namespace residua {

// The tensor of an .npy file is named "array"; those of an .npz by their entry without ".npy".
std::unique_ptr<TensorFile> open_npy(const std::string& path);
std::unique_ptr<TensorFile> open_npz(const std::string& path);
std::unique_ptr<TensorFile> parse_npy(OwnedBytes bytes, const std::string& path);
std::unique_ptr<TensorFile> parse_npz(OwnedBytes bytes, const std::string& path);

// Writes atomically, entries stored and in the order given, with fixed dates: equal input, equal
// bytes. BF16 has no NumPy type: ErrorKind::unsupported.
void write_npz(const std::string& path, std::span<const TensorView> tensors);
void write_npy(const std::string& path, const TensorView& tensor);  // its name is not stored

}  // namespace residua
