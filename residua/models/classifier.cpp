#include "residua/models/classifier.h"

#include <fmt/format.h>
#include <torch/types.h>

#include "residua/core/error.h"

namespace residua {

std::shared_ptr<Linear> fresh_classifier(const Linear& old, int64_t num_classes,
                                         const Random& random) {
  if (num_classes < 1)
    throw Error(ErrorKind::invalid_argument, {.where = "num_classes",
                                              .rule = "must be at least 1",
                                              .received = fmt::format("{}", num_classes)});
  auto fresh = linear(old.weight.size(1), num_classes, old.options(), random);
  fresh->to(old.weight.device(), old.weight.scalar_type());
  fresh->train(old.is_training());
  return fresh;
}

void zero_weights(Linear& layer) {
  layer.weight.detach().zero_();
  if (layer.bias.defined()) layer.bias.detach().zero_();
}

}  // namespace residua
