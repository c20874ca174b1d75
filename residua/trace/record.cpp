// With assertions on, RecordFunction checks a member that a libtorch without them never sets: this
// file sees it without, and therefore without the precompiled header.
#ifndef NDEBUG
#define NDEBUG
#endif

#include "residua/trace/record.h"

#include <ATen/record_function.h>

#include <memory>
#include <utility>

#include "residua/nn/tracing.h"

namespace residua {

namespace {

// Of the recording on this thread: libtorch's callbacks are plain functions.
struct Recording {
  std::vector<Call> calls;
  int64_t depth = 0;
};
thread_local Recording* current_recording = nullptr;

struct CallContext final : at::ObserverContext {
  size_t index = 0;
  bool outermost = false;
};

std::unique_ptr<at::ObserverContext> call_begins(const at::RecordFunction& function) {
  auto context = std::make_unique<CallContext>();
  Recording* recording = current_recording;
  if (!recording) return context;
  context->outermost = recording->depth++ == 0;
  if (!context->outermost) return context;
  context->index = recording->calls.size();
  const auto inputs = function.inputs();
  recording->calls.push_back(
      {function.name(), std::vector<c10::IValue>(inputs.begin(), inputs.end()), {}});
  return context;
}

void call_ends(const at::RecordFunction& function, at::ObserverContext* context) {
  Recording* recording = current_recording;
  const auto* call = static_cast<const CallContext*>(context);
  if (!recording || !call) return;
  --recording->depth;
  if (call->outermost) recording->calls[call->index].outputs = function.outputs();
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

std::vector<Call> record_calls(const std::function<void()>& f) {
  Recording recording;
  {
    const Tracing tracing;
    const Watching watching(recording);
    f();
  }
  return std::move(recording.calls);
}

}  // namespace residua
