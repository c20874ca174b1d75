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

// Runs `f` on this thread and returns its operations. Tensors in the calls stay alive, so that no
// two of them are the same object.
std::vector<Call> record_calls(const std::function<void()>& f);

}  // namespace residua
