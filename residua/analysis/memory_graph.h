#pragma once
// The buffers of a training step of a residual network, for planning without running it.

#include "residua/graph/buffer_plan.h"

namespace residua {

enum class Recomputation {
  none,
  cheap,  // normalisations and activations, from convolutions' outputs that are kept
  sqrt,   // everything between every sqrt(blocks)-th block
};

// Forward and backward of pre-activation blocks x + conv(relu(bn(conv(relu(bn(x)))))), all feature
// maps of equal size. Parameters and their gradients are not counted.
BufferProblem training_graph(int64_t blocks, int64_t bytes, Recomputation recomputation);

}  // namespace residua
