#include "residua/runtime/session.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>

#include "residua/core/error.h"
#include "residua/runtime/lowering.h"
#include "residua/runtime/parallel.h"

namespace residua {

namespace {

void check_pointers(std::string_view what, size_t expected, size_t received) {
  if (expected != received)
    throw Error(ErrorKind::invalid_argument,
                {.where = "session",
                 .rule = fmt::format("{} must be one for each of the plan's", what),
                 .expected = std::to_string(expected),
                 .received = std::to_string(received)});
}

void check_pointer(std::string_view what, const std::string& name, const void* pointer,
                   const Shape& shape) {
  if (pointer == nullptr && elements_of(shape) > 0)
    throw Error(ErrorKind::invalid_argument,
                {.where = fmt::format("{} '{}'", what, name), .rule = "the pointer is null"});
}

}  // namespace

Session::Session(std::shared_ptr<const Plan> plan)
    : plan_(std::move(plan)), block_(aligned_bytes(plan_->lowered().block_bytes)) {
  const Lowered& l = plan_->lowered();
  scratch_ = block_.get() + l.scratch_place;
  address_.resize(l.forms.size(), nullptr);
  for (size_t i = 0; i < l.forms.size(); ++i) {
    if (l.forms[i].is_constant())
      address_[i] = static_cast<std::byte*>(const_cast<void*>(l.forms[i].constant.get()));
    else if (l.place[i] >= 0)
      address_[i] = block_.get() + l.place[i];
  }
  const std::vector<const void*> inputs(l.input_types.size(), nullptr);
  const std::vector<void*> outputs(l.output_types.size(), nullptr);
  set_addresses(inputs, outputs);
  const ThreadCount threads(l.threads);
  for (const auto& step : l.steps)
    states_.push_back(step->open({address_.data(), scratch_, nullptr, l.threads}));
}

Session::~Session() = default;

// Forms come after what they lie in, except parts of a concatenation, which come before it.
void Session::set_addresses(std::span<const void* const> inputs, std::span<void* const> outputs) {
  const Lowered& l = plan_->lowered();
  for (size_t i = 0; i < l.forms.size(); ++i) {
    if (l.forms[i].input >= 0)
      address_[i] =
          static_cast<std::byte*>(const_cast<void*>(inputs[static_cast<size_t>(l.forms[i].input)]));
    if (l.forms[i].output >= 0)
      address_[i] = static_cast<std::byte*>(outputs[static_cast<size_t>(l.forms[i].output)]);
  }
  for (size_t i = 0; i < l.forms.size(); ++i) {
    if (l.forms[i].base == kNoForm) continue;
    int64_t offset = 0;
    FormId root = static_cast<FormId>(i);
    while (l.forms[static_cast<size_t>(root)].base != kNoForm) {
      offset += l.forms[static_cast<size_t>(root)].offset;
      root = l.forms[static_cast<size_t>(root)].base;
    }
    std::byte* base = address_[static_cast<size_t>(root)];
    address_[i] = base == nullptr ? nullptr : base + offset;
  }
}

void Session::run(std::span<const void* const> inputs, std::span<void* const> outputs) {
  run_timed(inputs, outputs, {});
}

void Session::run_timed(std::span<const void* const> inputs, std::span<void* const> outputs,
                        std::span<double> seconds) {
  const Lowered& l = plan_->lowered();
  check_pointers("inputs", l.input_types.size(), inputs.size());
  check_pointers("outputs", l.output_types.size(), outputs.size());
  for (size_t i = 0; i < inputs.size(); ++i)
    check_pointer("input", l.input_names[i], inputs[i], l.input_types[i].shape);
  for (size_t i = 0; i < outputs.size(); ++i)
    check_pointer("output", l.output_names[i], outputs[i], l.output_types[i].shape);
  if (!seconds.empty()) check_pointers("seconds", l.steps.size(), seconds.size());
  set_addresses(inputs, outputs);
  const ThreadCount threads(l.threads);
  using Clock = std::chrono::steady_clock;
  auto before = seconds.empty() ? Clock::time_point() : Clock::now();
  for (size_t i = 0; i < l.steps.size(); ++i) {
    l.steps[i]->run({address_.data(), scratch_, states_[i].get(), l.threads});
    if (seconds.empty()) continue;
    const auto now = Clock::now();
    seconds[i] += std::chrono::duration<double>(now - before).count();
    before = now;
  }
}

}  // namespace residua
