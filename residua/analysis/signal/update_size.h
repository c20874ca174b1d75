#pragma once
// How far one step of gradient descent moves the outputs of a network: "Fixup Initialization"
// (Zhang, Dauphin, Ma 2019, arXiv:1901.09321, section 3) asks that it be of the order of the
// learning rate whatever the depth.

#include "residua/models/model.h"

namespace residua {

struct UpdateSize {
  double gradient = 0;  // norm of the loss's gradient over all parameters
  double change = 0;    // mean over samples of the norm of the change of the logits; infinite where
                        // they leave the range of their type
};

// One step at `lr` on the mean cross entropy of x [N, ...] against labels [N]; `warm` steps are
// taken before. In the model's present mode; its parameters stay moved.
UpdateSize update_size(Model& model, const at::Tensor& x, const at::Tensor& labels, double lr,
                       int64_t warm = 0);

}  // namespace residua
