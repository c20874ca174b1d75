// Where each form of a plan lies: inside a concatenation that it is a part of, or at a place of the
// one block of memory.
#include <algorithm>
#include <unordered_map>

#include "residua/graph/buffer_plan.h"
#include "residua/runtime/lowering.h"

namespace residua {

namespace {

constexpr int64_t kPlaceAlignment = 64;

Form& form_at(Lowered& l, FormId id) { return l.forms[static_cast<size_t>(id)]; }

struct Spot {
  FormId root;
  int64_t offset;
};

Spot spot_of(Lowered& l, FormId id) {
  Spot spot{id, 0};
  while (form_at(l, spot.root).base != kNoForm) {
    spot.offset += form_at(l, spot.root).offset;
    spot.root = form_at(l, spot.root).base;
  }
  return spot;
}

bool is_movable(const Form& f) {
  return !f.is_constant() && f.input < 0 && f.output < 0 && f.base == kNoForm;
}

// Whether the parts already lie one behind the other; then the result is a view of them.
bool try_view(Lowered& l, const ConcatStep& step) {
  Form& result = form_at(l, step.writes.front());
  if (!is_movable(result)) return false;
  const Spot first = spot_of(l, step.parts.front().form);
  const Form& root = form_at(l, first.root);
  if (root.is_constant() || root.input >= 0 || first.root == step.writes.front()) return false;
  for (const auto& part : step.parts) {
    const Spot spot = spot_of(l, part.form);
    if (spot.root != first.root || spot.offset != first.offset + part.offset) return false;
  }
  if (step.parts.size() == 1) return false;
  result.base = first.root;
  result.offset = first.offset;
  result.shared = true;
  return true;
}

// Later concatenations hold the earlier ones that they begin with, so the last goes first.
void place_parts(Lowered& l) {
  for (auto it = l.steps.rbegin(); it != l.steps.rend(); ++it) {
    const auto* step = dynamic_cast<const ConcatStep*>(it->get());
    if (step == nullptr || step->rows != 1) continue;
    if (try_view(l, *step)) continue;
    const FormId result = step->writes.front();
    for (const auto& part : step->parts) {
      Form& f = form_at(l, part.form);
      if (!is_movable(f) || part.form == result || part.offset % kPlaceAlignment != 0) continue;
      f.base = result;
      f.offset = part.offset;
    }
  }
}

}  // namespace

void place_forms(Lowered& l) {
  place_parts(l);
  // Values of the problem are the roots; a root is written by the first step that writes any of it.
  std::unordered_map<FormId, int64_t> number;
  BufferProblem problem;
  std::vector<FormId> roots;
  const auto root_number = [&](FormId id) -> int64_t {
    const FormId root = spot_of(l, id).root;
    if (!is_movable(form_at(l, root))) return -1;
    const auto [at, fresh] = number.try_emplace(root, static_cast<int64_t>(roots.size()));
    if (fresh) {
      roots.push_back(root);
      problem.bytes.push_back((form_bytes(form_at(l, root)) + kPlaceAlignment - 1) /
                              kPlaceAlignment * kPlaceAlignment);
    }
    return at->second;
  };
  int64_t scratch = 0;
  std::vector<bool> written;
  for (const auto& step : l.steps) {
    BufferOperation operation;
    const auto add = [](std::vector<int64_t>& list, int64_t value) {
      if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
    };
    for (const FormId id : step->writes) {
      const int64_t n = root_number(id);
      if (n < 0) continue;
      written.resize(roots.size(), false);
      add(written[static_cast<size_t>(n)] ? operation.reads : operation.writes, n);
      written[static_cast<size_t>(n)] = true;
    }
    for (const FormId id : step->reads) {
      const int64_t n = root_number(id);
      written.resize(roots.size(), false);
      if (n >= 0 &&
          std::find(operation.writes.begin(), operation.writes.end(), n) == operation.writes.end())
        add(operation.reads, n);
    }
    problem.operations.push_back(std::move(operation));
    scratch = std::max(scratch, step->scratch_bytes);
  }
  const BufferPlan plan = plan_buffers(problem, {.in_place = false, .alignment = kPlaceAlignment});
  l.place.assign(l.forms.size(), -1);
  for (size_t i = 0; i < roots.size(); ++i) l.place[static_cast<size_t>(roots[i])] = plan.offset[i];
  l.scratch_place = (plan.bytes + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment;
  l.block_bytes = l.scratch_place + scratch;
}

}  // namespace residua
