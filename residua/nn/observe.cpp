#include "residua/nn/observe.h"

namespace residua {

namespace {
thread_local ForwardObserver* innermost_observer = nullptr;
}

ForwardObserver::ForwardObserver(Callback callback)
    : callback_(std::move(callback)), outer_(innermost_observer) {
  innermost_observer = this;
}

ForwardObserver::~ForwardObserver() { innermost_observer = outer_; }

void observe(const torch::nn::Module& layer, const at::Tensor& input, const at::Tensor& output) {
  for (ForwardObserver* o = innermost_observer; o != nullptr; o = o->outer_)
    o->callback_(layer, input, output);
}

}  // namespace residua
