#include "residua/core/log.h"

#include <mutex>

namespace residua {

namespace {
std::mutex sink_mutex;
LogSink current_sink;
}  // namespace

void set_log_sink(LogSink sink) {
  const std::lock_guard lock(sink_mutex);
  current_sink = std::move(sink);
}

void log_message(LogLevel level, std::string_view message) {
  const std::lock_guard lock(sink_mutex);
  if (current_sink) current_sink(level, message);
}

}  // namespace residua
