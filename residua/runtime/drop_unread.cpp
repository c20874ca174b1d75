// What turns out not to be needed when all steps of a plan are known.
#include <algorithm>

#include "residua/runtime/lowering.h"

namespace residua {

// Copies that later steps turned out not to need. Forms inside others count as those.
void Lowering::drop_unread_copies() {
  auto& steps = lowered_->steps;
  const auto root = [&](FormId id) {
    while (form(id).base != kNoForm) id = form(id).base;
    return static_cast<size_t>(id);
  };
  std::vector<bool> needed(lowered_->forms.size(), false);
  for (size_t i = 0; i < needed.size(); ++i)
    if (lowered_->forms[i].output >= 0) needed[root(static_cast<FormId>(i))] = true;
  std::vector<std::unique_ptr<Step>> kept;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const bool used = std::any_of((*step)->writes.begin(), (*step)->writes.end(),
                                  [&](FormId id) { return needed[root(id)]; });
    if (!used && (*step)->info.kernel == kStridedCopy) continue;
    for (const FormId id : (*step)->reads) needed[root(id)] = true;
    kept.push_back(std::move(*step));
  }
  std::reverse(kept.begin(), kept.end());
  steps = std::move(kept);
}

// What was packed is not kept in its first order.
void Lowering::forget_unread_constants() {
  std::vector<bool> read(lowered_->forms.size(), false);
  for (const auto& step : lowered_->steps)
    for (const FormId id : step->reads) read[static_cast<size_t>(id)] = true;
  for (size_t i = 0; i < read.size(); ++i)
    if (!read[i]) lowered_->forms[i].constant.reset();
}

}  // namespace residua
