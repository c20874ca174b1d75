#pragma once
// Every Residua layer reports what it computed to the observers that are alive on its thread: layer
// tables, cost counting and the search for the first non-finite output need no change to a model.

#include <ATen/core/Tensor.h>

#include <functional>

namespace torch::nn {
class Module;
}

namespace residua {

// While it lives, `callback` is called after each layer's forward on this thread.
class ForwardObserver {
 public:
  using Callback = std::function<void(const torch::nn::Module& layer, const at::Tensor& input,
                                      const at::Tensor& output)>;
  explicit ForwardObserver(Callback callback);
  ~ForwardObserver();
  ForwardObserver(const ForwardObserver&) = delete;
  ForwardObserver& operator=(const ForwardObserver&) = delete;

 private:
  friend void observe(const torch::nn::Module&, const at::Tensor&, const at::Tensor&);
  Callback callback_;
  ForwardObserver* outer_;
};

// Called by layers; costs one thread-local read when nobody listens.
void observe(const torch::nn::Module& layer, const at::Tensor& input, const at::Tensor& output);

}  // namespace residua
