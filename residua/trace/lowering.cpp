#include "residua/trace/lowering.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "residua/core/error.h"

namespace residua {

namespace {

std::string_view plain_name(std::string_view name) {
  if (name.starts_with("aten::")) name.remove_prefix(6);
  if (name.ends_with('_') && !name.ends_with("__")) name.remove_suffix(1);
  return name;
}

const std::unordered_map<std::string_view, LowerFunction>& lowerings() {
  static const auto table = [] {
    std::unordered_map<std::string_view, LowerFunction> all;
    for (const auto& entries :
         {product_lowerings(), norm_lowerings(), number_lowerings(), layout_lowerings()})
      for (const LowerEntry& entry : entries)
        if (!all.emplace(entry.name, entry.lower).second)
          throw Error(ErrorKind::internal,
                      {.where = std::string(entry.name), .rule = "is translated by two functions"});
    return all;
  }();
  return table;
}

}  // namespace

DType dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kBool: return DType::boolean;
    case at::kByte: return DType::u8;
    case at::kChar: return DType::i8;
    case at::kShort: return DType::i16;
    case at::kInt: return DType::i32;
    case at::kLong: return DType::i64;
    case at::kHalf: return DType::f16;
    case at::kBFloat16: return DType::bf16;
    case at::kFloat: return DType::f32;
    case at::kDouble: return DType::f64;
    default:
      throw Error(ErrorKind::unsupported, {.where = "graph",
                                           .rule = "has no values of this type",
                                           .received = c10::toString(type)});
  }
}

TraceLowering::TraceLowering(const Dataflow& flow, GraphBuilder& builder,
                             const std::vector<std::pair<std::string, at::Tensor>>& named)
    : flow_(flow), builder_(builder), made_(flow.calls.size()) {
  for (const auto& [name, tensor] : named)
    if (tensor.defined()) names_.emplace(tensor.unsafeGetTensorImpl(), name);
}

void TraceLowering::input(const at::Tensor& tensor, ValueId value) {
  leaves_[tensor.unsafeGetTensorImpl()] = value;
}

void TraceLowering::run() {
  for (call_ = 0; call_ < flow_.calls.size(); ++call_) {
    const ResolvedCall& resolved = flow_.resolved[call_];
    if (!resolved.needed) continue;
    module_ = owner_of_parameters();
    const auto found = lowerings().find(plain_name(flow_.calls[call_].name));
    if (found != lowerings().end()) {
      found->second(*this);
    } else if (resolved.reads_input) {
      unsupported("a graph has no operation for it");
    } else {  // computed from constants alone
      size_t k = 0;
      for (const c10::IValue& output : flow_.calls[call_].outputs)
        for (const at::Tensor& tensor : tensors_of(output)) give(constant(tensor), k++);
    }
  }
}

std::string TraceLowering::owner_of_parameters() const {
  for (const c10::IValue& argument : flow_.calls[call_].inputs)
    for (const at::Tensor& tensor : tensors_of(argument)) {
      const auto name = names_.find(tensor.unsafeGetTensorImpl());
      if (name != names_.end()) return name->second.substr(0, name->second.rfind('.'));
    }
  return {};
}

ValueId TraceLowering::value(const TensorSource& source, const at::Tensor& tensor) {
  if (source.call < 0) return constant(tensor);
  const auto& values = made_[static_cast<size_t>(source.call)];
  const auto output = static_cast<size_t>(source.output);
  if (output < values.size() && values[output] != kNoValue) return values[output];
  const std::string& name = flow_.calls[static_cast<size_t>(source.call)].name;
  if (name.find("empty") == std::string::npos)
    throw Error(
        ErrorKind::unsupported,
        {.where = name, .rule = fmt::format("its output {} has no place in a graph", output)});
  filled_outside_.push_back({source.call, tensor});
  return constant(tensor);
}

ValueId TraceLowering::constant(const at::Tensor& tensor) {
  const auto [known, is_new] = leaves_.emplace(tensor.unsafeGetTensorImpl(), kNoValue);
  if (!is_new) return known->second;
  const auto name = names_.find(tensor.unsafeGetTensorImpl());
  auto data = std::make_shared<at::Tensor>(tensor.detach().to(at::kCPU).contiguous());
  TensorData constant{.info = {name == names_.end() ? "constant" : name->second,
                               dtype_of(data->scalar_type()), data->sizes().vec()},
                      .owner = data,
                      .bytes = {static_cast<const std::byte*>(data->data_ptr()), data->nbytes()}};
  const ValueId id = builder_.constant(constant.info.name, constant);
  known->second = id;
  kept_.push_back(tensor);
  return id;
}

bool TraceLowering::has(size_t i) const {
  const auto& inputs = flow_.calls[call_].inputs;
  if (i >= inputs.size() || inputs[i].isNone()) return false;
  return !inputs[i].isTensor() || inputs[i].toTensor().defined();
}

bool TraceLowering::is_tensor(size_t i) const {
  return has(i) && flow_.calls[call_].inputs[i].isTensor();
}

std::vector<ValueId> TraceLowering::tensors(size_t i) {
  const std::vector<at::Tensor> given = tensors_of(flow_.calls[call_].inputs.at(i));
  const auto& sources = flow_.resolved[call_].sources.at(i);
  std::vector<ValueId> ids;
  for (size_t k = 0; k < given.size(); ++k) ids.push_back(value(sources[k], given[k]));
  return ids;
}

ValueId TraceLowering::tensor(size_t i) {
  const std::vector<ValueId> ids = tensors(i);
  if (ids.size() != 1) unsupported(fmt::format("argument {} is not one tensor", i));
  return ids[0];
}

ValueId TraceLowering::tensor_or_none(size_t i) { return is_tensor(i) ? tensor(i) : kNoValue; }

at::Tensor TraceLowering::example(size_t i) const {
  return flow_.calls[call_].inputs.at(i).toTensor();
}

at::Tensor TraceLowering::result(size_t i) const {
  for (const c10::IValue& output : flow_.calls[call_].outputs) {
    const std::vector<at::Tensor> given = tensors_of(output);
    if (i < given.size()) return given[i];
    i -= given.size();
  }
  unsupported("gives no such output");
}

double TraceLowering::number(size_t i) const {
  return flow_.calls[call_].inputs.at(i).toScalar().toDouble();
}
int64_t TraceLowering::integer(size_t i) const { return flow_.calls[call_].inputs.at(i).toInt(); }
bool TraceLowering::flag(size_t i) const { return has(i) && flow_.calls[call_].inputs[i].toBool(); }
std::string TraceLowering::text(size_t i) const {
  return flow_.calls[call_].inputs.at(i).toStringRef();
}
std::vector<int64_t> TraceLowering::integers(size_t i) const {
  return has(i) ? flow_.calls[call_].inputs[i].toIntVector() : std::vector<int64_t>{};
}

int64_t TraceLowering::axis(size_t i, int64_t rank) const {
  const int64_t axis = integer(i);
  return axis < 0 ? axis + rank : axis;
}

ValueId TraceLowering::add(Operation operation, std::vector<ValueId> inputs) {
  return builder_.add(std::move(operation), std::move(inputs), module_);
}

void TraceLowering::give(ValueId value, size_t output) {
  auto& values = made_[call_];
  if (values.size() <= output) values.resize(output + 1, kNoValue);
  values[output] = value;
}

ValueId TraceLowering::scalar(double number, DType dtype) {
  for (const auto& [known, id] : scalars_)
    if (known == number && this->dtype(id) == dtype) return id;
  at::ScalarType type = at::kFloat;
  switch (dtype) {
    case DType::boolean: type = at::kBool; break;
    case DType::i32: type = at::kInt; break;
    case DType::i64: type = at::kLong; break;
    case DType::f64: type = at::kDouble; break;
    default: break;
  }
  const ValueId id = cast(constant(at::full({}, number, type)), dtype);
  scalars_.emplace_back(number, id);
  return id;
}

std::vector<ValueId> TraceLowering::add_all(Operation operation, std::vector<ValueId> inputs) {
  return builder_.add_all(std::move(operation), std::move(inputs), module_);
}

ValueId TraceLowering::cast(ValueId value, DType dtype) {
  return this->dtype(value) == dtype ? value : add(op::Cast{dtype}, {value});
}

ValueId TraceLowering::reshape(ValueId value, const at::IntArrayRef& sizes) {
  if (at::IntArrayRef(shape(value)) == sizes) return value;
  return add(op::Reshape{sizes.vec()}, {value});
}

void TraceLowering::unsupported(std::string rule) const {
  const Call& call = flow_.calls[call_];
  throw Error(
      ErrorKind::unsupported,
      {.where = module_.empty() ? call.name : module_ + ": " + call.name, .rule = std::move(rule)});
}

}  // namespace residua
