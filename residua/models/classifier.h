#pragma once
// What image classifiers have in common around their last layer.

#include <memory>

#include "residua/core/options.h"
#include "residua/nn/linear.h"

namespace residua {

// A newly initialised layer in the place of `old`, of its type and device. Throws
// ErrorKind::invalid_argument for fewer than one class.
std::shared_ptr<Linear> fresh_classifier(const Linear& old, int64_t num_classes,
                                         const Random& random);

// Sets weights and bias to 0.
void zero_weights(Linear& layer);

// Whether published weights of `a` fit `b`, but for the classifier: all options but those that
// change only the output's size or the first weights are equal.
template <HasFields Options>
bool same_architecture(const Options& a, Options b) {
  b.num_classes = a.num_classes;
  b.init = a.init;
  b.zero_init_residual = a.zero_init_residual;
  return options_to_json(a) == options_to_json(b);
}

}  // namespace residua
