#include "app/training/settings_values.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "app/commands.h"
#include "app/machine.h"
#include "app/version.h"
#include "residua/core/log.h"
#include "residua/core/threads.h"

namespace residua::app {

Json read_settings(const std::string& config, const std::vector<std::string>& overrides) {
  Json settings = config.empty() ? Json::object() : read_toml(config);
  for (const std::string& word : overrides) merge_key_value(settings, word);
  return settings;
}

void use_threads(int64_t requested) {
  const ThreadChoice choice = choose_threads(static_cast<int>(requested));
  at::set_num_threads(choice.count);
  log_message(LogLevel::debug, fmt::format("{} threads: {}", choice.count, choice.reason));
}

Json measured_environment() {
  Json environment = Json::parse(training_environment());
  environment["residua"] = kBuildVersion;
  environment["processor"] = cpu_facts().at("model");
  environment["threads"] = at::get_num_threads();
  return environment;
}

std::string percent(double part) { return fmt::format("{:.2f} %", 100 * part); }

}  // namespace residua::app
