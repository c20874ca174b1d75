#include "residua/train/device.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <charconv>

#include "residua/core/error.h"
#include "residua/data/batch_source.h"

namespace residua {

at::Device parse_device(const std::string& text) {
  if (text == "cpu") return at::kCPU;
  int index = 0;
  const std::string prefix = "cuda:";
  const char* end = text.data() + text.size();
  const bool numbered = text.starts_with(prefix) && [&] {
    const auto [rest, error] = std::from_chars(text.data() + prefix.size(), end, index);
    return error == std::errc() && rest == end && index >= 0 && index < 128;
  }();
  if (text != "cuda" && !numbered)
    throw Error(ErrorKind::invalid_argument, {.where = "device",
                                              .rule = "is not a device",
                                              .expected = "cpu, cuda or cuda:N",
                                              .received = text});
  const auto present =
      static_cast<int>(torch::cuda::is_available() ? torch::cuda::device_count() : 0);
  if (index >= present)
    throw Error(
        ErrorKind::unsupported,
        {.where = "device",
         .rule = present == 0
                     ? "there is no CUDA device that this libtorch can use"
                     : fmt::format("this machine has {} CUDA device(s), from cuda:0", present),
         .received = text,
         .hint = "device=cpu works everywhere"});
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

void place_module(torch::nn::Module& module, const at::Device& device, bool channels_last) {
  module.to(device);
  if (!channels_last) return;
  const torch::NoGradGuard no_grad;
  for (at::Tensor& parameter : module.parameters())
    if (parameter.dim() == 4)
      parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast));
}

Batch to_device(Batch batch, const at::Device& device) {
  if (device.is_cpu()) return batch;
  const auto move = [&](at::Tensor& t) { t = t.to(device, /*non_blocking=*/true); };
  move(batch.input);
  move(batch.target);
  move(batch.label);
  return batch;
}

}  // namespace residua
