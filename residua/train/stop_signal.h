#pragma once
// Turns the signals that ask a process to end into a question the trainer can ask.

#include <csignal>

namespace residua {

// Until it ends and restores the former handlers, the first SIGINT or SIGTERM is only noted; a
// second one ends the process as usual. One at a time.
class StopOnSignals {
 public:
  StopOnSignals();
  ~StopOnSignals();
  StopOnSignals(const StopOnSignals&) = delete;
  StopOnSignals& operator=(const StopOnSignals&) = delete;

  static bool requested();

 private:
  struct sigaction interrupt_ {
  }, terminate_{};
};

}  // namespace residua
