#pragma once
// CIFAR ResNets with gates under the names of ucbdrive/skipnet, so that its files can be read and
// its forward be compared.

#include <memory>

#include "residua/models/golden.h"
#include "residua/models/vision/resnet_cifar.h"

namespace residua {

// The parts of a model with connection skipnet (last_gate=true) and shortcut B, as the reference
// calls them: conv1, bn1, group{g}_layer{i}, group{g}_ds{i} (also group{g}_layer{i}.downsample),
// group{g}_gate{i}, control, fc. `save_weights` and `load_weights` of it write and read the
// reference's names; parameters are shared with the model. Throws ErrorKind::invalid_argument for
// a model of another kind.
std::shared_ptr<torch::nn::Module> skipnet_reference_names(const ResNetCifar& model);

// A card of the reference: y.0 logits, y.1.i decisions, y.2.i what the reference keeps of a gate,
// probabilities of an RNNGate and log-probabilities of the others.
CardResult check_skipnet_card(const GoldenCard& card);

}  // namespace residua
