#pragma once
// What probes of signals look at: networks with first or with trained weights, and normal numbers.

#include <memory>

#include "residua/analysis/probe.h"
#include "residua/models/model.h"

namespace residua {

// The trained model that the recipe names, else a fresh one.
std::shared_ptr<Model> signal_model(const ProbeContext& context, const Component& fresh,
                                    const Random& random);

// [batch, channels, size, size]; `size` 0: what the model was designed for.
at::Tensor normal_images(const Model& model, int64_t batch, int64_t size, const Random& random);

}  // namespace residua
