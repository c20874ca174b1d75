// Products of small matrices that lie in the cache. Included once for each target, before
// HWY_AFTER_NAMESPACE.
#if defined(RESIDUA_KERNELS_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef RESIDUA_KERNELS_PRODUCT_INL_H_
#undef RESIDUA_KERNELS_PRODUCT_INL_H_
#else
#define RESIDUA_KERNELS_PRODUCT_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace residua::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using TileFloat = hn::CappedTag<float, 16>;
constexpr int64_t kTileRows = 4;
constexpr int64_t kTileUnit = 16;  // columns are filled up to a multiple, which fits every vector

// c (+)= a b for 4 rows and kVectors vectors of columns: a [4, depth], b [depth, ...].
template <bool kAdd, int kVectors>
HWY_INLINE void ProductTile(const float* HWY_RESTRICT a, int64_t a_row, const float* HWY_RESTRICT b,
                            int64_t b_row, float* HWY_RESTRICT c, int64_t c_row, int64_t depth) {
  const TileFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<TileFloat> s[kTileRows][kVectors];
  for (int r = 0; r < kTileRows; ++r)
    for (int j = 0; j < kVectors; ++j)
      s[r][j] = kAdd ? hn::Load(d, c + r * c_row + j * lanes) : hn::Zero(d);
  for (int64_t k = 0; k < depth; ++k) {
    hn::Vec<TileFloat> v[kVectors];
    for (int j = 0; j < kVectors; ++j) v[j] = hn::Load(d, b + k * b_row + j * lanes);
    for (int r = 0; r < kTileRows; ++r) {
      const auto x = hn::Set(d, a[r * a_row + k]);
      for (int j = 0; j < kVectors; ++j) s[r][j] = hn::MulAdd(x, v[j], s[r][j]);
    }
  }
  for (int r = 0; r < kTileRows; ++r)
    for (int j = 0; j < kVectors; ++j) hn::Store(s[r][j], d, c + r * c_row + j * lanes);
}

// c [rows, columns] (+)= a [rows, depth] b [depth, columns]. Rows are a multiple of kTileRows,
// columns of kTileUnit; rows of b and c are aligned to 64 bytes.
template <bool kAdd>
void ProductTiles(const float* a, int64_t a_row, const float* b, int64_t b_row, float* c,
                  int64_t c_row, int64_t rows, int64_t columns, int64_t depth) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(TileFloat()));
  for (int64_t j = 0; j < columns; j += 4 * lanes) {
    const int64_t vectors = std::min<int64_t>(4, (columns - j) / lanes);
    for (int64_t i = 0; i < rows; i += kTileRows) {
      const float* x = a + i * a_row;
      float* y = c + i * c_row + j;
      switch (vectors) {
        case 1: ProductTile<kAdd, 1>(x, a_row, b + j, b_row, y, c_row, depth); break;
        case 2: ProductTile<kAdd, 2>(x, a_row, b + j, b_row, y, c_row, depth); break;
        case 3: ProductTile<kAdd, 3>(x, a_row, b + j, b_row, y, c_row, depth); break;
        default: ProductTile<kAdd, 4>(x, a_row, b + j, b_row, y, c_row, depth); break;
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace residua::kernels
HWY_AFTER_NAMESPACE();

#endif  // include guard of each target
