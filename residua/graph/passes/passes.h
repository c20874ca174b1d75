#pragma once
// Changes of a graph that keep what it computes. Each leaves a graph that `verify` accepts, keeps
// inputs, outputs and their names, and returns how many places it changed. Nodes with rules are
// left alone unless the change holds for every size.
//
// Where weights are computed (fold_constants, fold_affine) they are rounded once to their element
// type; nothing else rounds. Values of the middle are gone afterwards.

#include <cstdint>
#include <functional>

#include "residua/graph/graph.h"

namespace residua {

// Removes nodes that no output needs, and values that nothing reads; numbers values anew.
int64_t remove_dead(Graph& graph);

struct FoldOptions {
  int64_t max_bytes = 1 << 20;  // of a result that is larger than what it is computed from
};

// Computes with the interpreter what depends on constants alone. Dequantize stays, because it
// says in which type the plan may compute; so does what would be larger than the limit.
int64_t fold_constants(Graph& graph, const FoldOptions& options = {});

// Merges nodes that do the same with the same inputs, and small equal constants.
int64_t share_common(Graph& graph);

// Removes what does nothing: copies, casts to the same type, reshapes to the same shape, transposes
// that undo each other, whole slices, empty pads; joins chains of reshapes and of transposes.
int64_t remove_identities(Graph& graph);

// Matrix products by a constant become linear.
int64_t products_to_linear(Graph& graph);

// Batch norms, and products and sums with a constant for each channel, disappear in the weights of
// the convolution, transposed convolution or linear before them; else of the one after them, where
// no padding is in the way. The value between must have no other reader.
int64_t fold_affine(Graph& graph);

// Residual summands and activations become part of the convolution or linear (activations: also of
// the sum) that they follow, where the value between has no other reader.
int64_t fuse_epilogues(Graph& graph);

// matmul, scale, mask, softmax, matmul become attention, also where reshapes join batch and heads
// around them; a causal mask becomes its flag.
int64_t fuse_attention(Graph& graph);

// Layer norms and RMS norms written in elementary operators, as in ONNX before opset 17.
int64_t fuse_norms(Graph& graph);

// gelu (both forms), silu, hard_swish and mish written as products.
int64_t fuse_activations(Graph& graph);

// Whether a block's three convolutions, given in order, shall become one operation.
using WantsBlock = std::function<bool(const Graph&, const std::vector<const Node*>&)>;

// Inverted-residual and ConvFirst blocks become op::FusedBlock, all of them or those that are
// wanted. Not part of `optimise`: the runtime asks for it where its kernel is faster. After
// fuse_epilogues.
int64_t fuse_blocks(Graph& graph);
int64_t fuse_blocks(Graph& graph, const WantsBlock& wanted);

// All of the above but the last, in an order that lets each find what the others leave.
void optimise(Graph& graph);

}  // namespace residua
