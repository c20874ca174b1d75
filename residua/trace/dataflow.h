#pragma once
// Which operation's result each operation reads, and which of them an output needs.

#include <cstdint>
#include <map>
#include <vector>

#include "residua/trace/record.h"

namespace residua {

// A tensor that an operation reads: result `output` of call `call`, or one that was there before
// (call -1).
struct TensorSource {
  int64_t call = -1;
  int64_t output = 0;
};

// Arguments of a call by place: the tensors of each, in order (none for a number; undefined tensors
// are left out).
struct ResolvedCall {
  std::vector<std::vector<TensorSource>> sources;
  bool needed = false;
  bool reads_input = false;  // depends on an input of the network, also through others
};

struct Dataflow {
  std::vector<Call> calls;
  std::vector<ResolvedCall> resolved;      // one for each call
  std::vector<TensorSource> outputs;       // of the network
  std::vector<at::Tensor> output_tensors;  // beside them
};

// All tensors of a value: itself, or those of a list.
std::vector<at::Tensor> tensors_of(const c10::IValue& value);

// Throws ErrorKind::unsupported where a tensor is read after something was written into its memory
// through another view, and where a number was read out of a tensor that depends on the inputs, so
// that what follows might differ for others.
Dataflow resolve(std::vector<Call> calls, const std::vector<at::Tensor>& inputs,
                 std::vector<at::Tensor> outputs);

}  // namespace residua
