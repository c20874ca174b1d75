// Between the tensors of files and those of libtorch.

#include <fmt/format.h>
#include <torch/torch.h>

#include <array>

#include "residua/core/error.h"
#include "residua/nn/state.h"

namespace residua {

namespace {

constexpr std::array kScalarTypes{
    std::pair{DType::boolean, at::kBool},     std::pair{DType::u8, at::kByte},
    std::pair{DType::i8, at::kChar},          std::pair{DType::i16, at::kShort},
    std::pair{DType::i32, at::kInt},          std::pair{DType::i64, at::kLong},
    std::pair{DType::f16, at::kHalf},         std::pair{DType::bf16, at::kBFloat16},
    std::pair{DType::f32, at::kFloat},        std::pair{DType::f64, at::kDouble},
    std::pair{DType::c64, at::kComplexFloat}, std::pair{DType::c128, at::kComplexDouble}};

}  // namespace

at::Tensor to_tensor(const TensorData& data) {
  for (const auto& [dtype, scalar_type] : kScalarTypes) {
    if (dtype != data.info.dtype) continue;
    if (data.bytes.empty()) return at::empty(data.info.shape, scalar_type);
    void* bytes = const_cast<std::byte*>(data.bytes.data());
    return at::from_blob(
        bytes, data.info.shape, [owner = data.owner](void*) {}, scalar_type);
  }
  throw Error(ErrorKind::unsupported, {.where = data.info.name,
                                       .rule = "has an element type that libtorch lacks",
                                       .received = std::string(to_string(data.info.dtype))});
}

TensorView to_view(const std::string& name, const at::Tensor& tensor) {
  if (!tensor.device().is_cpu() || !tensor.is_contiguous())
    throw Error(ErrorKind::internal,
                {.where = name, .rule = "must be a contiguous CPU tensor to be written"});
  for (const auto& [dtype, scalar_type] : kScalarTypes)
    if (scalar_type == tensor.scalar_type())
      return {
          name,
          dtype,
          tensor.sizes().vec(),
          {static_cast<const std::byte*>(tensor.data_ptr()), static_cast<size_t>(tensor.nbytes())}};
  throw Error(ErrorKind::unsupported, {.where = name,
                                       .rule = "has an element type that files lack",
                                       .received = c10::toString(tensor.scalar_type())});
}

}  // namespace residua
