#include "residua/nn/tracing.h"

#include <utility>

namespace residua {

namespace {
thread_local bool tracing_now = false;
}  // namespace

bool is_tracing() { return tracing_now; }

Tracing::Tracing() : was_tracing_(std::exchange(tracing_now, true)) {}
Tracing::~Tracing() { tracing_now = was_tracing_; }

}  // namespace residua
