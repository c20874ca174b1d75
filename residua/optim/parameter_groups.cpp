#include "residua/optim/parameter_groups.h"

#include <fnmatch.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "residua/core/error.h"
#include "residua/nn/layer.h"

namespace residua {

namespace {

struct Rule {
  std::string text;
  std::string pattern;
  std::optional<double> lr_scale;
  std::optional<double> weight_decay;
  bool used = false;
};

std::string trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

[[noreturn]] void bad_rule(const std::string& text, const std::string& rule) {
  throw Error(
      ErrorKind::invalid_argument,
      {.where = "optim.rules",
       .rule = rule,
       .expected =
           "PATTERN: lr_scale=NUMBER, weight_decay=NUMBER (either may be left out), numbers >= 0",
       .received = "\"" + text + "\""});
}

void set_rule_value(Rule& rule, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos) bad_rule(rule.text, "must assign a value to each key");
  const std::string key = trim(assignment.substr(0, equals)),
                    number = trim(assignment.substr(equals + 1));
  double value = 0;
  const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (code != std::errc() || end != number.data() + number.size() || !(value >= 0))
    bad_rule(rule.text, "must have numbers that are not negative");
  if (key == "lr_scale") {
    rule.lr_scale = value;
  } else if (key == "weight_decay") {
    rule.weight_decay = value;
  } else {
    bad_rule(rule.text, "has the unknown key " + key);
  }
}

Rule parse_rule(const std::string& text) {
  Rule rule{.text = text, .pattern = {}, .lr_scale = {}, .weight_decay = {}};
  const size_t colon = text.find(':');
  if (colon == std::string::npos) bad_rule(text, "must have a pattern, a colon and assignments");
  rule.pattern = trim(text.substr(0, colon));
  if (rule.pattern.empty()) bad_rule(text, "must have a pattern before the colon");
  for (size_t at = colon + 1; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    set_rule_value(rule, text.substr(at, comma - at));
    at = comma + 1;
  }
  return rule;
}

// By full name, of modules that choose for themselves.
std::map<std::string, bool> chosen_decay(const torch::nn::Module& module, bool decay_all) {
  std::map<std::string, bool> chosen;
  const auto ask = [&](const std::string& prefix, const torch::nn::Module& part) {
    const auto* const chooses = dynamic_cast<const ChoosesDecay*>(&part);
    if (!chooses) return;
    for (const auto& p : part.named_parameters(/*recurse=*/false))
      chosen[prefix + p.key()] = chooses->decays(p.key(), p.value().dim() >= 2 || decay_all);
  };
  ask("", module);
  for (const auto& part : module.named_modules(std::string(), /*include_self=*/false))
    ask(part.key() + ".", *part.value());
  return chosen;
}

ParameterGroup& group_for(std::vector<ParameterGroup>& groups, double lr_scale,
                          double weight_decay) {
  for (ParameterGroup& group : groups)
    if (group.lr_scale == lr_scale && group.weight_decay == weight_decay) return group;
  groups.push_back(
      {.names = {}, .parameters = {}, .lr_scale = lr_scale, .weight_decay = weight_decay});
  return groups.back();
}

}  // namespace

std::vector<ParameterGroup> parameter_groups(const torch::nn::Module& module,
                                             const ParameterRules& rules) {
  std::vector<Rule> parsed;
  for (const std::string& text : rules.rules) parsed.push_back(parse_rule(text));

  const std::map<std::string, bool> choices = chosen_decay(module, rules.decay_norm_and_bias);
  std::vector<ParameterGroup> groups;
  for (const auto& item : module.named_parameters()) {
    const at::Tensor& parameter = item.value();
    double lr_scale = 1;
    const auto chosen = choices.find(item.key());
    const bool decays = chosen != choices.end() ? chosen->second
                                                : parameter.dim() >= 2 || rules.decay_norm_and_bias;
    double weight_decay = decays ? rules.weight_decay : 0;
    for (Rule& rule : parsed) {
      if (fnmatch(rule.pattern.c_str(), item.key().c_str(), 0) != 0) continue;
      rule.used = true;
      lr_scale = rule.lr_scale.value_or(lr_scale);
      weight_decay = rule.weight_decay.value_or(weight_decay);
    }
    if (!parameter.requires_grad()) continue;
    ParameterGroup& group = group_for(groups, lr_scale, weight_decay);
    group.names.push_back(item.key());
    group.parameters.push_back(parameter);
  }
  for (const Rule& rule : parsed)
    if (!rule.used) bad_rule(rule.text, "matches no parameter of the model");
  return groups;
}

std::vector<at::Tensor> all_parameters(const std::vector<ParameterGroup>& groups) {
  std::vector<at::Tensor> all;
  for (const ParameterGroup& group : groups)
    all.insert(all.end(), group.parameters.begin(), group.parameters.end());
  return all;
}

std::vector<at::Tensor> parameters_except(const std::vector<ParameterGroup>& groups,
                                          const std::vector<std::string>& patterns) {
  std::vector<at::Tensor> kept;
  for (const ParameterGroup& group : groups)
    for (size_t i = 0; i < group.names.size(); ++i) {
      const auto matches = [&](const std::string& pattern) {
        return fnmatch(pattern.c_str(), group.names[i].c_str(), 0) == 0;
      };
      if (std::none_of(patterns.begin(), patterns.end(), matches))
        kept.push_back(group.parameters[i]);
    }
  return kept;
}

}  // namespace residua
