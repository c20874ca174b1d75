#include "residua/train/stop_signal.h"

#include <csignal>

namespace residua {

namespace {

volatile std::sig_atomic_t stop_requested = 0;

void note_stop(int) { stop_requested = 1; }

}  // namespace

StopOnSignals::StopOnSignals() {
  stop_requested = 0;
  struct sigaction action {};
  action.sa_handler = note_stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

StopOnSignals::~StopOnSignals() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool StopOnSignals::requested() { return stop_requested != 0; }

}  // namespace residua
