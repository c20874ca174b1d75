#include "residua/train/stop_signal.h"

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
  sigaction(SIGINT, &action, &interrupt_);
  sigaction(SIGTERM, &action, &terminate_);
}

StopOnSignals::~StopOnSignals() {
  sigaction(SIGINT, &interrupt_, nullptr);
  sigaction(SIGTERM, &terminate_, nullptr);
}

bool StopOnSignals::requested() { return stop_requested != 0; }

}  // namespace residua
