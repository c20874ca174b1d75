#pragma once
// Where the first infinity or NaN came from.

#include <string>

#include "residua/core/error.h"
#include "residua/train/options.h"
#include "residua/train/task.h"

namespace residua {

struct Batch;

// A training whose loss, gradient or weights are not finite any more.
class Diverged final : public Error {
 public:
  explicit Diverged(const ErrorText& text) : Error(ErrorKind::invalid_argument, text) {}
};

// Runs the batch again and watches every layer: the path of the first whose output is not finite,
// and whether one of its weights is at fault ("layer1.0.conv1, whose weight is not finite"). "the
// images" when the input already is; "the loss alone" when no layer is.
std::string first_non_finite(const Network& network, const Batch& batch, Amp amp);

// Name of the first parameter or buffer that is not finite; empty: none.
std::string first_non_finite_weight(const torch::nn::Module& module);

}  // namespace residua
