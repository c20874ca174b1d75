#pragma once
// Side channels for the values of attention: "Value Residual Learning For Alleviating Attention
// Concentration In Transformers" (Zhou et al. 2024, arXiv:2410.17897) and what it is compared with.
// The stream itself is the residual network's; only transformers can ride along. Layers n = 1..L
// are blocks; V_n are the values that layer n computes, before they are split into heads.

#include "residua/connections/connection.h"

namespace residua {

// resformer: layer n >= 2 attends with V'_n = l1 V_1 + l2 V_n (equation 5), by variant
//   identity       l1 = l2 = 0.5
//   constant       l1, l2 given (default 1, 1)
//   learnable      two learned numbers a layer, at first l1, l2
//   learnable_plus l1_n = s softmax(w)_n over the layers n >= 2, with s and w learned and l1_n = l1
//   at
//                  first; l2 learned for each layer
//   sparse         l1, l2 in the layers given (default: the last third), V_n elsewhere
//   dense          V'_n = sum_{i <= n} l_{n,i} V_i, all learned; at first l2 for V_n, and l1 spread
//                  evenly over the earlier ones
// svformer: V_n = V_1 for all n: the other layers have no value projection, and decoding keeps V
//   once: (L + 1) / (2 L) of the bytes. With `share_keys = g` the layers of a group of g attend
//   with the keys of its first one too.
// neutreno (Nguyen et al. 2023, arXiv:2312.00751): U_n = A_n V_n + tau (V_1 - V_n).
// denseformer (Pagliardini et al. 2024, arXiv:2402.02622): after block n the stream becomes
//   sum_{i <= n} alpha_{n,i} x_i over the first stream x_0 and the blocks' outputs, alpha learned,
//   at first only alpha_{n,n} = 1.
void add_value_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
