#pragma once
// The library never prints. What it has to say goes to the sink that the program sets; without one
// it is dropped.

#include <functional>
#include <string>
#include <string_view>

namespace residua {

enum class LogLevel { debug, info, warning, error };

// Called from any thread, one call at a time.
using LogSink = std::function<void(LogLevel, std::string_view message)>;

void set_log_sink(LogSink sink);
void log_message(LogLevel level, std::string_view message);

}  // namespace residua
