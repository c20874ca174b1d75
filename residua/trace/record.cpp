// With assertions on, RecordFunction checks a member that a libtorch without them never sets: this
// file sees it without, and therefore without the precompiled header.
#ifndef NDEBUG
#define NDEBUG
#endif

#include "residua/trace/record.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "residua/nn/tracing.h"

namespace residua {

namespace {

// Tensors that depend on the inputs, each with a stand-in that has no memory. Weak references keep
// their addresses from being used again.
class StandIns {
 public:
  explicit StandIns(const std::vector<at::Tensor>& inputs) {
    for (const at::Tensor& input : inputs) {
      inputs_.insert(input.unsafeGetTensorImpl());
      of_memory_[input.storage().unsafeGetStorageImpl()] = input.storage();
    }
  }

  // Itself, or through its memory, which another tensor wrote.
  bool depends(const at::Tensor& tensor) const {
    return of_memory_.contains(tensor.storage().unsafeGetStorageImpl());
  }

  void add(const at::Tensor& tensor) {
    const c10::TensorImpl* impl = tensor.unsafeGetTensorImpl();
    if (!tensor.defined() || inputs_.contains(impl) || of_tensor_.contains(impl)) return;
    kept_tensors_.emplace_back(tensor.getIntrusivePtr());
    of_tensor_[impl] = without_memory(tensor);
  }

  at::Tensor of(const at::Tensor& tensor) const {
    const auto found = of_tensor_.find(tensor.unsafeGetTensorImpl());
    return found == of_tensor_.end() ? tensor : found->second;
  }

  c10::IValue of(const c10::IValue& value) const {
    if (value.isTensor()) return value.toTensor().defined() ? of(value.toTensor()) : value;
    if (!value.isTensorList()) return value;
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(of(tensor));
    return list;
  }

 private:
  at::Tensor without_memory(const at::Tensor& tensor) {
    const at::Storage& real = tensor.storage();
    auto [at, fresh] = of_memory_.try_emplace(real.unsafeGetStorageImpl());
    if (fresh) {
      kept_memory_.emplace_back(real.getWeakStorageImpl());
      at->second = c10::Storage(c10::Storage::use_byte_size_t(), real.nbytes(),
                                at::DataPtr(nullptr, at::kMeta), nullptr, false);
    }
    at::Tensor stand_in = at::detail::make_tensor<c10::TensorImpl>(
        c10::Storage(at->second), c10::DispatchKeySet(c10::DispatchKey::Meta), tensor.dtype());
    stand_in.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides(),
                                                          tensor.storage_offset());
    return stand_in;
  }

  std::unordered_set<const c10::TensorImpl*> inputs_;
  std::unordered_map<const c10::TensorImpl*, at::Tensor> of_tensor_;
  std::unordered_map<const c10::StorageImpl*, c10::Storage> of_memory_;
  std::vector<c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>> kept_tensors_;
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> kept_memory_;
};

std::vector<at::Tensor> tensors_in(const c10::IValue& value) {
  if (value.isTensor()) return {value.toTensor()};
  if (value.isTensorList()) return value.toTensorVector();
  return {};
}

// Of the recording on this thread: libtorch's callbacks are plain functions.
struct Recording {
  explicit Recording(const std::vector<at::Tensor>& inputs) : stand_ins(inputs) {}
  std::vector<Call> calls;
  StandIns stand_ins;
  int64_t depth = 0;
};
thread_local Recording* current_recording = nullptr;

struct CallContext final : at::ObserverContext {
  size_t index = 0;
  bool outermost = false, depends = false;
};

std::unique_ptr<at::ObserverContext> call_begins(const at::RecordFunction& function) {
  auto context = std::make_unique<CallContext>();
  Recording* recording = current_recording;
  if (!recording) return context;
  context->outermost = recording->depth++ == 0;
  if (!context->outermost) return context;
  context->index = recording->calls.size();
  Call& call = recording->calls.emplace_back();
  call.name = function.name();
  for (const c10::IValue& input : function.inputs()) {
    for (const at::Tensor& tensor : tensors_in(input)) {
      if (!tensor.defined() || !recording->stand_ins.depends(tensor)) continue;
      context->depends = true;
      recording->stand_ins.add(tensor);
    }
    call.inputs.push_back(recording->stand_ins.of(input));
  }
  // Who fills it is not known yet (see TraceLowering::value).
  if (call.name.find("empty") != std::string::npos) context->depends = false;
  return context;
}

void call_ends(const at::RecordFunction& function, at::ObserverContext* context) {
  Recording* recording = current_recording;
  const auto* call = static_cast<const CallContext*>(context);
  if (!recording || !call) return;
  --recording->depth;
  if (!call->outermost) return;
  for (const c10::IValue& output : function.outputs()) {
    if (call->depends)
      for (const at::Tensor& tensor : tensors_in(output)) recording->stand_ins.add(tensor);
    recording->calls[call->index].outputs.push_back(recording->stand_ins.of(output));
  }
}

class Watching {
 public:
  explicit Watching(Recording& recording) : outer_(std::exchange(current_recording, &recording)) {
    handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(call_begins, call_ends)
                                             .needsInputs(true)
                                             .needsOutputs(true)
                                             .scopes({at::RecordScope::FUNCTION}));
  }
  ~Watching() {
    at::removeCallback(handle_);
    current_recording = outer_;
  }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;

 private:
  Recording* outer_;
  at::CallbackHandle handle_;
};

}  // namespace

RecordedCalls record_calls(const RecordedFunction& f, const std::vector<at::Tensor>& inputs) {
  Recording recording(inputs);
  RecordedCalls recorded;
  {
    const Tracing tracing;
    const Watching watching(recording);
    for (const at::Tensor& output : f(inputs))
      recorded.outputs.push_back(recording.stand_ins.of(output));
  }
  recorded.calls = std::move(recording.calls);
  return recorded;
}

}  // namespace residua
