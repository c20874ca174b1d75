#pragma once
// Attention by blocks of queries and keys with a running maximum and sum, so that the matrix of
// scores is never in memory ("FlashAttention", arXiv:2205.14135, algorithm 1). In float32; inputs
// and output in float32 or bfloat16.

#include <cstdint>

#include "residua/kernels/bfloat16.h"

namespace residua::kernels {

// One head: y = softmax(scale q k^T + mask) v with q [queries, width], k and v [keys, width].
struct AttentionHead {
  int64_t queries = 0, keys = 0, width = 0;
  float scale = 1;
  bool causal = false;  // query t sees keys up to t + keys - queries
  const float* mask = nullptr;
  int64_t mask_row = 0, mask_column = 0;  // steps of the mask along queries and keys; may be 0
  int64_t q_row = 0, k_row = 0, v_row = 0, y_row = 0;  // from row to row; `width` or more

  // Queries of one block: each brings the keys into another order once, and a short one sees fewer
  // of the keys that lie ahead.
  int64_t block_queries() const { return causal ? 64 : 208; }
};

int64_t attention_scratch_bytes(const AttentionHead& head);

// Queries [first, first + block_queries()) of a head, on the calling thread alone. `scratch` is
// aligned to 64 bytes.
template <class T>
void attention_block(const AttentionHead& head, const T* q, const T* k, const T* v, T* y,
                     int64_t first, float* scratch);

}  // namespace residua::kernels
