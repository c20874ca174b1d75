#pragma once
// What a model costs: parameters, multiply-accumulates and activations of every layer, from one
// observed forward.

#include <cstdint>
#include <string>
#include <vector>

#include "residua/io/dtype.h"
#include "residua/models/model.h"

namespace residua {

struct LayerCost {
  std::string name, type;  // "layer1.0.conv1", "Conv2d(64 -> 64, 3x3, padding 1)"
  Shape input, output;
  int64_t parameters = 0;        // numbers; of a layer that runs twice, in its first row only
  int64_t macs = 0;              // multiply-accumulates of convolutions and matrix products
  int64_t activation_bytes = 0;  // of the output
};

struct ModelCost {
  std::vector<LayerCost> layers;  // in the order in which they ran
  int64_t batch = 1;
  int64_t parameters = 0, buffers = 0;  // numbers
  int64_t parameter_bytes = 0, buffer_bytes = 0;
  int64_t macs = 0, activation_bytes = 0;  // sums over the layers, for the whole batch
};

// Runs zeros of the shape [N, C, H, W], or ids 0 [N, T], through the model in evaluation mode,
// without gradients.
ModelCost measure_cost(Model& model, const Shape& input);

struct TrainingMemoryOptions {
  int64_t batch_size = 1;
  int64_t optimizer_values = 1;   // kept for each parameter: SGD with momentum 1, AdamW 2
  bool ema = false;               // a second copy of parameters and buffers
  double activation_scale = 1.0;  // 0.5 where activations are kept in 16 bits
};

// Bytes. Activations are the outputs of all layers: what backward needs of them, without the
// temporary buffers of single operations and of the allocator.
struct TrainingMemory {
  int64_t weights = 0, gradients = 0, optimizer = 0, ema = 0, activations = 0;
  int64_t total() const { return weights + gradients + optimizer + ema + activations; }
};

TrainingMemory estimate_training_memory(const ModelCost& cost,
                                        const TrainingMemoryOptions& options);

}  // namespace residua
