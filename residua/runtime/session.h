#pragma once
// Runs a plan. A session has its own memory and serves one thread at a time; several sessions of
// one plan may run at once. After the first run nothing is allocated.

#include <memory>
#include <span>
#include <vector>

#include "residua/runtime/plan.h"

namespace residua {

class StepState;

class Session {
 public:
  explicit Session(std::shared_ptr<const Plan> plan);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Pointers to row-major elements of the plan's input and output types, in its order, which the
  // caller owns. Inputs are not changed; outputs must not overlap inputs or each other. Throws
  // ErrorKind::invalid_argument for another number of pointers or a null one.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs);

  // The same, with the seconds of each layer added to `seconds`, one for each of plan().layers().
  void run_timed(std::span<const void* const> inputs, std::span<void* const> outputs,
                 std::span<double> seconds);

  const Plan& plan() const { return *plan_; }

 private:
  void set_addresses(std::span<const void* const> inputs, std::span<void* const> outputs);

  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<std::byte> block_;
  std::vector<std::byte*> address_;  // of each form
  std::byte* scratch_ = nullptr;
  std::vector<std::unique_ptr<StepState>> states_;
};

}  // namespace residua
