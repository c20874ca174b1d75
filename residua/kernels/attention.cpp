#include "residua/kernels/attention.h"

#include <algorithm>
#include <limits>

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "residua/kernels/attention.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "residua/kernels/bfloat16-inl.h"
#include "residua/kernels/functions-inl.h"
#include "residua/kernels/product-inl.h"

#ifndef RESIDUA_KERNELS_ATTENTION_ONCE_
#define RESIDUA_KERNELS_ATTENTION_ONCE_
namespace residua::kernels {
constexpr int64_t kKeyBlock = 64;
constexpr int64_t kWidthUnit = 16;  // widths are filled up to whole vectors of any size

inline int64_t filled_width(int64_t width) {
  return (width + kWidthUnit - 1) / kWidthUnit * kWidthUnit;
}

// The parts of a thread's scratch memory.
struct AttentionScratch {
  float *q, *kt, *v, *scores, *sum_v, *max, *sum;
  AttentionScratch(float* at, int64_t rows, int64_t filled) {
    q = at, at += rows * filled;
    kt = at, at += filled * kKeyBlock;
    v = at, at += kKeyBlock * filled;
    scores = at, at += rows * kKeyBlock;
    sum_v = at, at += rows * filled;
    max = at, at += rows;
    sum = at;
  }
  static int64_t floats(int64_t rows, int64_t filled) {
    return 2 * rows * filled + 2 * kKeyBlock * filled + rows * kKeyBlock + 2 * rows;
  }
};
}  // namespace residua::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace residua::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
void LoadRow(const T* x, int64_t n, float scale, float* HWY_RESTRICT y) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto by = hn::Set(d, scale);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::Mul(LoadFloat(d, x + i), by), d, y + i);
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) hn::StoreU(hn::Mul(LoadFloat(one, x + i), hn::Set(one, scale)), one, y + i);
}

template <class T>
void LoadKeys(const AttentionHead& head, const T* k, const T* v, int64_t first, int64_t count,
              int64_t filled, const AttentionScratch& s) {
  for (int64_t j = 0; j < count; ++j) {
    float* row = s.v + j * filled;
    LoadRow(k + (first + j) * head.k_row, head.width, 1, row);  // by way of v's place
    for (int64_t i = 0; i < head.width; ++i) s.kt[i * kKeyBlock + j] = row[i];
  }
  for (int64_t j = 0; j < count; ++j) {
    LoadRow(v + (first + j) * head.v_row, head.width, 1, s.v + j * filled);
    std::fill(s.v + j * filled + head.width, s.v + (j + 1) * filled, 0.0f);
  }
  std::fill(s.v + count * filled, s.v + kKeyBlock * filled, 0.0f);
  for (int64_t i = 0; i < head.width; ++i)
    std::fill(s.kt + i * kKeyBlock + count, s.kt + (i + 1) * kKeyBlock, 0.0f);
}

// Adds the mask and hides keys that do not exist or lie ahead.
HWY_INLINE void MaskRow(const AttentionHead& head, int64_t query, int64_t first, int64_t count,
                        int64_t columns, float* row) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  if (head.mask) {
    const float* mask = head.mask + query * head.mask_row + first * head.mask_column;
    for (int64_t j = 0; j < count; ++j) row[j] += mask[j * head.mask_column];
  }
  int64_t seen = count;
  if (head.causal)
    seen = std::clamp<int64_t>(query + head.keys - head.queries + 1 - first, 0, count);
  std::fill(row + seen, row + columns, kHidden);
}

// The row's scores become exp(score - maximum); what was summed before is brought to the new one.
HWY_INLINE void SoftmaxRow(float* HWY_RESTRICT row, float* HWY_RESTRICT max,
                           float* HWY_RESTRICT sum, float* HWY_RESTRICT sum_v, int64_t filled,
                           int64_t columns) {
  using V = hn::Vec<TileFloat>;
  const TileFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  V top = hn::Set(d, *max);
  for (int64_t j = 0; j < columns; j += lanes) top = hn::Max(top, hn::Load(d, row + j));
  const float now = hn::GetLane(hn::MaxOfLanes(d, top));
  if (now == kHidden) {  // no key was seen so far
    for (int64_t j = 0; j < columns; j += lanes) hn::Store(hn::Zero(d), d, row + j);
    return;
  }
  const V centre = hn::Set(d, now), low = hn::Set(d, -120.0f);
  V total = hn::Zero(d);
  for (int64_t j = 0; j < columns; j += lanes) {
    const V p = hn::Exp(d, hn::Max(hn::Sub(hn::Load(d, row + j), centre), low));
    hn::Store(p, d, row + j);
    total = hn::Add(total, p);
  }
  const V factor = hn::Exp(d, hn::Max(hn::Sub(hn::Set(d, *max), centre), low));
  *sum = *sum * hn::GetLane(factor) + hn::GetLane(hn::SumOfLanes(d, total));
  if (*max != now)
    for (int64_t i = 0; i < filled; i += lanes)
      hn::Store(hn::Mul(hn::Load(d, sum_v + i), factor), d, sum_v + i);
  *max = now;
}

template <class T>
void AttentionBlock(const AttentionHead& head, const T* q, const T* k, const T* v, T* y,
                    int64_t first, float* scratch) {
  const int64_t filled = filled_width(head.width);
  const AttentionScratch s(scratch, head.block_queries(), filled);
  const int64_t rows = std::min(head.block_queries(), head.queries - first);
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows * kTileRows;
  for (int64_t r = 0; r < tiles; ++r)
    LoadRow(q + (first + std::min(r, rows - 1)) * head.q_row, head.width, head.scale,
            s.q + r * filled);
  std::fill(s.sum_v, s.sum_v + tiles * filled, 0.0f);
  std::fill(s.max, s.max + tiles, -std::numeric_limits<float>::infinity());
  std::fill(s.sum, s.sum + tiles, 0.0f);
  int64_t keys = head.keys;
  if (head.causal) keys = std::clamp<int64_t>(first + rows + head.keys - head.queries, 0, keys);
  for (int64_t key = 0; key < keys; key += kKeyBlock) {
    const int64_t count = std::min(kKeyBlock, keys - key);
    LoadKeys(head, k, v, key, count, filled, s);
    const int64_t columns = filled_width(count);  // whole vectors of keys
    ProductTiles<false>(s.q, filled, s.kt, kKeyBlock, s.scores, kKeyBlock, tiles, columns,
                        head.width);
    for (int64_t r = 0; r < tiles; ++r) {
      float* row = s.scores + r * kKeyBlock;
      MaskRow(head, first + std::min(r, rows - 1), key, count, columns, row);
      SoftmaxRow(row, s.max + r, s.sum + r, s.sum_v + r * filled, filled, columns);
    }
    ProductTiles<true>(s.scores, kKeyBlock, s.v, filled, s.sum_v, filled, tiles, filled, count);
  }
  const TileFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const hn::CappedTag<float, 1> one;
  for (int64_t r = 0; r < rows; ++r) {
    const float by = 1 / s.sum[r];
    T* out = y + (first + r) * head.y_row;
    int64_t i = 0;
    for (; i + lanes <= head.width; i += lanes)
      StoreFloat(hn::Mul(hn::Load(d, s.sum_v + r * filled + i), hn::Set(d, by)), d, out + i);
    for (; i < head.width; ++i)
      StoreFloat(hn::Set(one, s.sum_v[r * filled + i] * by), one, out + i);
  }
}

void AttentionFloat(const AttentionHead& head, const float* q, const float* k, const float* v,
                    float* y, int64_t first, float* scratch) {
  AttentionBlock(head, q, k, v, y, first, scratch);
}
void AttentionBf16(const AttentionHead& head, const Bf16* q, const Bf16* k, const Bf16* v, Bf16* y,
                   int64_t first, float* scratch) {
  AttentionBlock(head, q, k, v, y, first, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace residua::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace residua::kernels {

HWY_EXPORT(AttentionFloat);
HWY_EXPORT(AttentionBf16);

int64_t attention_scratch_bytes(const AttentionHead& head) {
  return AttentionScratch::floats(head.block_queries(), filled_width(head.width)) *
         static_cast<int64_t>(sizeof(float));
}

template <>
void attention_block(const AttentionHead& head, const float* q, const float* k, const float* v,
                     float* y, int64_t first, float* scratch) {
  HWY_DYNAMIC_DISPATCH(AttentionFloat)(head, q, k, v, y, first, scratch);
}
template <>
void attention_block(const AttentionHead& head, const Bf16* q, const Bf16* k, const Bf16* v,
                     Bf16* y, int64_t first, float* scratch) {
  HWY_DYNAMIC_DISPATCH(AttentionBf16)(head, q, k, v, y, first, scratch);
}

}  // namespace residua::kernels
#endif  // HWY_ONCE
