#include "residua/graph/passes/passes.h"

namespace residua {

void optimise(Graph& graph) {
  remove_dead(graph);
  remove_identities(graph);
  fold_constants(graph);
  share_common(graph);
  // Patterns are found as they were written, before their parts are folded elsewhere.
  fuse_norms(graph);
  fuse_activations(graph);
  fuse_attention(graph);
  products_to_linear(graph);
  fold_affine(graph);
  fuse_epilogues(graph);
  // What the changes made constant, equal or idle.
  fold_constants(graph);
  remove_identities(graph);
  share_common(graph);
  verify(graph);
}

}  // namespace residua
