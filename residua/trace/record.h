#pragma once
// What libtorch computed during a call: its outermost operations in order. The one place that
// knows how libtorch is watched (profiler callbacks, whose interface is the same in 1.13 and 2.x).

#include <ATen/core/ivalue.h>

#include <functional>
#include <string>
#include <vector>

namespace residua {

struct Call {
  std::string name;                 // "aten::conv2d", without the overload
  std::vector<c10::IValue> inputs;  // all arguments of the schema, in its order
  std::vector<c10::IValue> outputs;
};

struct RecordedCalls {
  std::vector<Call> calls;
  std::vector<at::Tensor> outputs;  // of the function
};

using RecordedFunction = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

// Runs `f` on this thread and returns its operations. The tensors in the calls stay apart: no two
// of them are one object. Those that depend on the inputs are without their numbers (of the device
// "meta", views of one memory still sharing one), so that their memory is free for what follows;
// the inputs and what does not depend on them are whole.
RecordedCalls record_calls(const RecordedFunction& f, const std::vector<at::Tensor>& inputs);

}  // namespace residua
