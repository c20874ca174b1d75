// load_weights of state.h: which tensor of the file belongs to which of the module, and the report
// of what does not fit.

#include <fmt/format.h>
#include <fnmatch.h>
#include <torch/torch.h>

#include <algorithm>
#include <unordered_set>

#include "residua/core/error.h"
#include "residua/nn/state.h"

namespace residua {

namespace {

bool ignored_name(const std::string& name, const LoadOptions& options) {
  return std::ranges::any_of(options.ignore, [&](const std::string& pattern) {
    return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  });
}

// Wrappers such as nn.DataParallel and torch.compile put their own name before all others, possibly
// one in another. What the module itself calls so is not stripped.
std::string wrapper_prefix(const TensorFile& file, const NamedTensors& state) {
  const auto everywhere = [&](const std::string& prefix) {
    return !file.tensors().empty() && std::ranges::all_of(file.tensors(), [&](const TensorInfo& t) {
      return t.name.starts_with(prefix);
    }) && std::ranges::none_of(state, [&](const auto& entry) {
      return entry.first.starts_with(prefix);
    });
  };
  std::string prefix;
  for (bool grew = true; grew;) {
    grew = false;
    for (const char* wrapper : {"module.", "_orig_mod."})
      if (everywhere(prefix + wrapper)) {
        prefix += wrapper;
        grew = true;
      }
  }
  return prefix;
}

// Files of before PyTorch 0.4.1 have no such counters; they only matter for a cumulative average,
// which nothing here uses.
bool optional_name(const std::string& name) {
  return name == "num_batches_tracked" || name.ends_with(".num_batches_tracked");
}

struct LoadPlan {
  std::vector<std::pair<std::string, at::Tensor>> copies;  // name in the file, where it goes
  LoadReport report;
};

LoadPlan plan_load(const torch::nn::Module& module, const TensorFile& file,
                   const LoadOptions& options) {
  LoadPlan plan;
  LoadReport& report = plan.report;
  const NamedTensors state = state_dict(module);
  const std::string prefix = report.stripped_prefix = wrapper_prefix(file, state);
  std::unordered_set<std::string> known;
  for (const auto& [name, tensor] : state) {
    known.insert(name);
    if (!file.contains(prefix + name)) {
      if (!optional_name(name) && !ignored_name(name, options)) report.missing.push_back(name);
      continue;
    }
    const Shape& received = file.info(prefix + name).shape;
    const Shape expected = tensor.sizes().vec();
    if (received == expected)
      plan.copies.emplace_back(prefix + name, tensor.detach());
    else
      report.mismatched.push_back({name, expected, received});
  }
  for (const TensorInfo& t : file.tensors()) {
    const std::string name = t.name.substr(prefix.size());
    if (!known.contains(name) && !ignored_name(name, options)) report.unexpected.push_back(name);
  }
  return plan;
}

constexpr size_t kNamesShown = 4;

std::string first_names(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kNamesShown);
  std::string text = fmt::format(
      "{}", fmt::join(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown), ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

// "3 missing (a, b, c)", "1 of another shape (fc.weight: [10, 64] in the file, [1000, 64] in the
// model)".
std::vector<std::string> difference_lines(const LoadReport& report) {
  std::vector<std::string> lines, mismatches;
  for (const auto& m : report.mismatched)
    mismatches.push_back(fmt::format("{}: {} in the file, {} in the model", m.name,
                                     to_string(m.received), to_string(m.expected)));
  const auto add = [&](const std::vector<std::string>& names, const char* what) {
    if (!names.empty())
      lines.push_back(fmt::format("{} {} ({})", names.size(), what, first_names(names)));
  };
  add(report.missing, "missing");
  add(report.unexpected, "unexpected");
  add(mismatches, "of another shape");
  return lines;
}

}  // namespace

std::string LoadReport::text() const {
  std::string text = fmt::format("{} tensors loaded", loaded);
  if (!stripped_prefix.empty())
    text += fmt::format(", without their prefix \"{}\"", stripped_prefix);
  for (const std::string& line : difference_lines(*this)) text += "\n" + line;
  return text;
}

LoadReport load_weights(torch::nn::Module& module, const TensorFile& file,
                        const LoadOptions& options) {
  LoadPlan plan = plan_load(module, file, options);
  if (options.strict && !plan.report.complete()) {
    const bool only_shapes = plan.report.missing.empty() && plan.report.unexpected.empty();
    throw Error(only_shapes ? ErrorKind::shape : ErrorKind::not_found,
                {.where = file.path(),
                 .rule = "is not the weights of this model",
                 .received = fmt::format("{}", fmt::join(difference_lines(plan.report), "; ")),
                 .hint = "choose the model and options that the file was saved with, or load "
                         "without strictness"});
  }
  // All are read before the first is copied, so that a broken file leaves the module as it was.
  std::vector<at::Tensor> values;
  for (const auto& [name, target] : plan.copies) values.push_back(to_tensor(file.read(name)));
  for (size_t i = 0; i < values.size(); ++i) plan.copies[i].second.copy_(values[i]);
  plan.report.loaded = static_cast<int64_t>(values.size());
  return plan.report;
}

}  // namespace residua
