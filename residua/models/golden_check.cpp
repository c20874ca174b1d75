#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "residua/models/golden.h"
#include "residua/nn/state.h"

namespace residua {

namespace {

constexpr size_t kFailuresNamed = 5;

// Adds a line for each of the first few names.
void add_failures(std::vector<std::string>& failures, const std::vector<std::string>& lines) {
  const size_t named = std::min(lines.size(), kFailuresNamed);
  failures.insert(failures.end(), lines.begin(), lines.begin() + static_cast<ptrdiff_t>(named));
  if (lines.size() > named)
    failures.push_back(fmt::format("... and {} more like this", lines.size() - named));
}

// Names and shapes must be equal as sets. Fills what fits on the way.
void check_parameters(const GoldenCard& card, const torch::nn::Module& module, CardResult& result) {
  std::map<std::string, at::Tensor> ours;
  for (const auto& [name, tensor] : state_dict(module))
    if ((tensor.is_floating_point() || tensor.is_complex()) &&
        std::ranges::count(card.constants, name) == 0)
      ours.emplace(name, tensor);
  std::vector<std::string> missing, reshaped, extra;
  for (const auto& [name, shape] : card.parameters) {
    const auto found = ours.find(name);
    if (found == ours.end()) {
      missing.push_back(fmt::format("{} {} is not in the model", name, to_string(shape)));
      continue;
    }
    const Shape present = found->second.sizes().vec();
    if (present != shape)
      reshaped.push_back(fmt::format("{} is {}, the reference has {}", name, to_string(present),
                                     to_string(shape)));
    else
      golden_fill(name, found->second, card.fill);
    ours.erase(found);
    ++result.parameters;
  }
  for (const auto& [name, tensor] : ours) extra.push_back(name + " is not in the reference");
  for (const auto* lines : {&missing, &reshaped, &extra}) add_failures(result.failures, *lines);
}

void check_output(const CardOutput& expected, const at::Tensor& raw, CardResult& result) {
  const at::Tensor output = raw.is_complex() ? at::view_as_real(raw) : raw;
  const Shape shape = output.sizes().vec();
  if (shape != expected.shape) {
    result.failures.push_back(fmt::format("output {} is {}, the reference has {}", expected.name,
                                          to_string(shape), to_string(expected.shape)));
    return;
  }
  const at::Tensor flat = output.detach().to(at::kCPU, at::kDouble).reshape({-1}).contiguous();
  const double* const values = flat.data_ptr<double>();
  double largest = 0, worst = 0;
  std::pair<int64_t, double> at_worst = expected.samples.front();
  for (const auto& sample : expected.samples) {
    largest = std::max(largest, std::abs(sample.second));
    const double difference = std::abs(sample.second - values[sample.first]);
    if (difference <= worst) continue;
    worst = difference;  // not a number compares false, and is then the worst of all
    at_worst = sample;
    if (std::isnan(difference)) break;
  }
  result.samples += static_cast<int64_t>(expected.samples.size());
  if (!(worst <= result.tolerance * largest))
    result.failures.push_back(
        fmt::format("output {}: element {} is {:.7g}, the reference has {:.7g}; allowed +-{:.2g}",
                    expected.name, at_worst.first, values[at_worst.first], at_worst.second,
                    result.tolerance * largest));
  const double norm = flat.norm().item<double>(), norm_error = std::abs(norm - expected.norm);
  if (!(norm_error <= result.tolerance * std::abs(expected.norm)))
    result.failures.push_back(fmt::format("output {}: the norm is {:.7g}, the reference has {:.7g}",
                                          expected.name, norm, expected.norm));
  const auto relative = [](double error, double size) { return error == 0 ? 0 : error / size; };
  for (const double error :
       {relative(worst, largest), relative(norm_error, std::abs(expected.norm))})
    if (!(error <= result.largest_error)) result.largest_error = error;
}

}  // namespace

CardResult check_card(const GoldenCard& card, torch::nn::Module& module, const CardCall& call) {
  CardResult result{.path = card.path,
                    .reference = card.reference,
                    .model = card.model,
                    .tolerance = card.relative,
                    .failures = {}};
  check_parameters(card, module, result);
  if (!result.passed()) return result;
  const at::NoGradGuard no_grad;
  module.train(card.training);
  std::vector<at::Tensor> inputs;
  for (const CardInput& input : card.inputs) inputs.push_back(golden_input(input));
  const NamedOutputs outputs = call(inputs);
  for (const CardOutput& expected : card.outputs) {
    const auto found = std::ranges::find(outputs, expected.name, &NamedOutputs::value_type::first);
    if (found == outputs.end())
      result.failures.push_back(fmt::format("output {} is not given by the model", expected.name));
    else
      check_output(expected, found->second, result);
  }
  return result;
}

std::string CardResult::text() const {
  std::string text = fmt::format("{} {}: {}", passed() ? "ok  " : "FAIL", model, reference);
  if (samples > 0)
    text += fmt::format("; {} tensors, {} samples, largest error {:.1e} of {:.0e} allowed",
                        parameters, samples, largest_error, tolerance);
  for (const std::string& failure : failures) text += "\n  " + failure;
  return text;
}

}  // namespace residua
