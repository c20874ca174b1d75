#pragma once
// Where a model computes, and how its weights lie in memory.

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <string>

namespace torch::nn {
class Module;
}

namespace residua {

struct Batch;

// "cpu", "cuda" (the first) or "cuda:N". Throws ErrorKind::invalid_argument for another text,
// ErrorKind::unsupported when this machine has no such device.
at::Device parse_device(const std::string& text);

// Moves parameters and buffers; with `channels_last` those of four dimensions get that memory
// layout.
void place_module(torch::nn::Module& module, const at::Device& device, bool channels_last);

Batch to_device(Batch batch, const at::Device& device);

}  // namespace residua
