#pragma once
// Weights between modules and files, under the reference's names.

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "residua/io/tensor_file.h"

namespace torch::nn {
class Module;
}

namespace residua {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// Parameters and buffers in the order of registration, as Python's `state_dict`.
NamedTensors state_dict(const torch::nn::Module& module);

// A tensor over the file's own memory, without a copy; treat it as read-only.
at::Tensor to_tensor(const TensorData& data);
// The view of a contiguous CPU tensor for writing.
TensorView to_view(const std::string& name, const at::Tensor& tensor);

struct LoadOptions {
  bool strict =
      true;  // any difference is an error; otherwise what fits is loaded and the rest reported
  std::vector<std::string> ignore;  // shell patterns of names that may be missing or unexpected
};

struct LoadReport {
  struct Mismatch {
    std::string name;
    Shape expected, received;
  };
  int64_t loaded = 0;
  std::string stripped_prefix;  // "module." of nn.DataParallel and the like
  std::vector<std::string> missing, unexpected;
  std::vector<Mismatch> mismatched;

  bool complete() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
  std::string text() const;  // for people, several lines
};

// Copies the file's tensors into the module, converted to its types and devices. With `strict` any
// difference throws (ErrorKind::shape or not_found) and leaves the module as it was. The counters
// `num_batches_tracked` may be missing, as in files of before PyTorch 0.4.1.
LoadReport load_weights(torch::nn::Module& module, const TensorFile& file,
                        const LoadOptions& options = {});

// Atomic safetensors file of `state_dict(module)`.
void save_weights(const std::string& path, const torch::nn::Module& module,
                  const std::map<std::string, std::string>& metadata = {});

}  // namespace residua
