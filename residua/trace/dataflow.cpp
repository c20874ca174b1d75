#include "residua/trace/dataflow.h"

#include <fmt/format.h>

#include <unordered_map>
#include <unordered_set>

#include "residua/core/error.h"

namespace residua {

namespace {

bool writes_into_argument(const Call& call) {
  return call.name.back() == '_' && call.name.find("::__") == std::string::npos;
}

// Who made each tensor, and when its memory was last written through another one.
class Makers {
 public:
  TensorSource source(const at::Tensor& tensor, const Call& call) const {
    const auto made = made_.find(tensor.unsafeGetTensorImpl());
    const TensorSource source = made == made_.end() ? TensorSource{} : made->second;
    const auto written = written_.find(memory(tensor));
    if (written == written_.end() || written->second.tensor == tensor.unsafeGetTensorImpl() ||
        written->second.call < source.call)
      return source;
    // Whatever does not depend on the input may be written in any way: it is a constant.
    if (!written->second.of_input) return {};
    throw Error(ErrorKind::unsupported,
                {.where = call.name,
                 .rule = "reads memory that was changed in place through another view, which a "
                         "graph cannot say",
                 .hint = "compute the changed tensor anew"});
  }

  void add(const Call& call, int64_t index, bool reads_input) {
    int64_t output = 0;
    for (const c10::IValue& value : call.outputs)
      for (const at::Tensor& tensor : tensors_of(value)) {
        made_[tensor.unsafeGetTensorImpl()] = {index, output++};
        if (!writes_into_argument(call)) continue;
        Write& write = written_[memory(tensor)];
        write = {tensor.unsafeGetTensorImpl(), index, write.of_input || reads_input};
      }
  }

 private:
  struct Write {
    const at::TensorImpl* tensor = nullptr;
    int64_t call = -1;
    bool of_input = false;  // this or one before it depends on the input
  };
  static const void* memory(const at::Tensor& tensor) {
    return tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl() : nullptr;
  }

  std::unordered_map<const at::TensorImpl*, TensorSource> made_;
  std::unordered_map<const void*, Write> written_;
};

bool reads_number(const Call& call) {
  return call.name == "aten::item" || call.name == "aten::_local_scalar_dense" ||
         call.name == "aten::is_nonzero" || call.name == "aten::equal";
}

void mark_needed(Dataflow& flow) {
  for (const TensorSource& output : flow.outputs)
    if (output.call >= 0) flow.resolved[static_cast<size_t>(output.call)].needed = true;
  for (size_t i = flow.resolved.size(); i-- > 0;) {
    if (!flow.resolved[i].needed) continue;
    for (const auto& argument : flow.resolved[i].sources)
      for (const TensorSource& source : argument)
        if (source.call >= 0) flow.resolved[static_cast<size_t>(source.call)].needed = true;
  }
}

}  // namespace

std::vector<at::Tensor> tensors_of(const c10::IValue& value) {
  if (value.isTensor()) {
    if (!value.toTensor().defined()) return {};
    return {value.toTensor()};
  }
  if (value.isTensorList()) return value.toTensorVector();
  return {};
}

Dataflow resolve(std::vector<Call> calls, const std::vector<at::Tensor>& inputs,
                 std::vector<at::Tensor> outputs) {
  Dataflow flow{.calls = std::move(calls), .resolved = {}, .outputs = {}, .output_tensors = {}};
  std::unordered_set<const at::TensorImpl*> input_set;
  for (const at::Tensor& input : inputs) input_set.insert(input.unsafeGetTensorImpl());
  Makers makers;
  for (size_t i = 0; i < flow.calls.size(); ++i) {
    const Call& call = flow.calls[i];
    ResolvedCall resolved;
    for (const c10::IValue& argument : call.inputs) {
      auto& sources = resolved.sources.emplace_back();
      for (const at::Tensor& tensor : tensors_of(argument)) {
        const TensorSource source = makers.source(tensor, call);
        sources.push_back(source);
        resolved.reads_input |= source.call >= 0
                                    ? flow.resolved[static_cast<size_t>(source.call)].reads_input
                                    : input_set.count(tensor.unsafeGetTensorImpl()) > 0;
      }
    }
    if (reads_number(call) && resolved.reads_input)
      throw Error(ErrorKind::unsupported,
                  {.where = call.name,
                   .rule = "what follows depends on a number computed from the input, which a "
                           "graph cannot say"});
    makers.add(call, static_cast<int64_t>(i), resolved.reads_input);
    flow.resolved.push_back(std::move(resolved));
  }
  const Call end{.name = "output", .inputs = {}, .outputs = {}};
  for (const at::Tensor& output : outputs) flow.outputs.push_back(makers.source(output, end));
  flow.output_tensors = std::move(outputs);
  mark_needed(flow);
  return flow;
}

}  // namespace residua
