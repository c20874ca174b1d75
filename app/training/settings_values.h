#pragma once
// What the commands that take settings have in common.

#include <string>
#include <vector>

#include "residua/core/json.h"
#include "residua/train/options.h"

namespace residua::app {

// Settings of a TOML file (empty: none) with key=value words merged over them.
Json read_settings(const std::string& config, const std::vector<std::string>& overrides);

// Sets the number of threads that compute, and says which and why through the log.
void use_threads(int64_t requested);

// Libraries, processor and threads, to be stored beside what was measured.
Json measured_environment();

// "93.27 %"
std::string percent(double part);

}  // namespace residua::app
