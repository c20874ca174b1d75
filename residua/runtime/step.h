#pragma once
// One operation of a plan, ready to run (internal to runtime). Steps are shared by all sessions of
// a plan and never change; what a session needs for itself is made by `open`.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "residua/runtime/form.h"
#include "residua/runtime/plan.h"

namespace residua {

class StepState {
 public:
  virtual ~StepState() = default;
};

struct StepCall {
  std::byte* const* address;  // of each form
  std::byte* scratch;         // scratch_bytes of the step, aligned to 64
  StepState* state;
  int threads;

  template <class T>
  T* at(FormId form) const {
    return form == kNoForm ? nullptr : reinterpret_cast<T*>(address[form]);
  }
};

class Step {
 public:
  virtual ~Step() = default;
  virtual std::unique_ptr<StepState> open(const StepCall&) const { return nullptr; }
  virtual void run(const StepCall& call) const = 0;

  LayerInfo info;
  std::vector<FormId> reads, writes;
  int64_t scratch_bytes = 0;
};

// A step of our own kernels.
class KernelStep final : public Step {
 public:
  explicit KernelStep(std::function<void(const StepCall&)> body) : body_(std::move(body)) {}
  void run(const StepCall& call) const override { body_(call); }

 private:
  std::function<void(const StepCall&)> body_;
};

// Parts that lie one behind the other in the output, copied where they are not already there.
class ConcatStep final : public Step {
 public:
  struct Part {
    FormId form;
    int64_t offset;  // bytes, in the first row
    int64_t bytes;   // of a row
  };
  void run(const StepCall& call) const override;

  std::vector<Part> parts;
  int64_t rows = 1, row_bytes = 0;
};

}  // namespace residua
