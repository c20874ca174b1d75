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
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace residua::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using TileFloat = hn::CappedTag<float, 16>;
constexpr int64_t kTileRows = 4;
constexpr int64_t kTileUnit = 16;  // columns are filled up to a multiple, which fits every vector

// Rows and columns of a product that begin(row, vector) starts and end(sum) finishes: 4 rows and
// kVectors vectors of columns: a [4, depth], b [depth, ...].
template <int kVectors, class Begin, class End>
HWY_INLINE void ProductTile(const float* HWY_RESTRICT a, int64_t a_row, const float* HWY_RESTRICT b,
                            int64_t b_row, float* HWY_RESTRICT c, int64_t c_row, int64_t depth,
                            const Begin& begin, const End& end) {
  const TileFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<TileFloat> s[kTileRows][kVectors];
  for (int r = 0; r < kTileRows; ++r)
    for (int j = 0; j < kVectors; ++j) s[r][j] = begin(r, j * lanes);
  for (int64_t k = 0; k < depth; ++k) {
    hn::Vec<TileFloat> v[kVectors];
    for (int j = 0; j < kVectors; ++j) v[j] = hn::Load(d, b + k * b_row + j * lanes);
    for (int r = 0; r < kTileRows; ++r) {
      const auto x = hn::Set(d, a[r * a_row + k]);
      for (int j = 0; j < kVectors; ++j) s[r][j] = hn::MulAdd(x, v[j], s[r][j]);
    }
  }
  for (int r = 0; r < kTileRows; ++r)
    for (int j = 0; j < kVectors; ++j) hn::Store(end(s[r][j]), d, c + r * c_row + j * lanes);
}

// Calls tile(number of vectors as a constant, first row, first column).
template <class Tile>
HWY_INLINE void ForProductTiles(int64_t rows, int64_t columns, const Tile& tile) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(TileFloat()));
  for (int64_t j = 0; j < columns; j += 4 * lanes) {
    const int64_t vectors = std::min<int64_t>(4, (columns - j) / lanes);
    for (int64_t i = 0; i < rows; i += kTileRows) {
      switch (vectors) {
        case 1: tile(std::integral_constant<int, 1>(), i, j); break;
        case 2: tile(std::integral_constant<int, 2>(), i, j); break;
        case 3: tile(std::integral_constant<int, 3>(), i, j); break;
        default: tile(std::integral_constant<int, 4>(), i, j); break;
      }
    }
  }
}

// c [rows, columns] (+)= a [rows, depth] b [depth, columns]. Rows are a multiple of kTileRows,
// columns of kTileUnit; rows of b and c are aligned to 64 bytes.
template <bool kAdd>
void ProductTiles(const float* a, int64_t a_row, const float* b, int64_t b_row, float* c,
                  int64_t c_row, int64_t rows, int64_t columns, int64_t depth) {
  const TileFloat d;
  ForProductTiles(rows, columns, [&](auto vectors, int64_t i, int64_t j) HWY_ATTR {
    float* y = c + i * c_row + j;
    ProductTile<decltype(vectors)::value>(
        a + i * a_row, a_row, b + j, b_row, y, c_row, depth,
        [=](int r, int64_t v)
            HWY_ATTR { return kAdd ? hn::Load(d, y + r * c_row + v) : hn::Zero(d); },
        [](hn::Vec<TileFloat> sum) HWY_ATTR { return sum; });
  });
}

// c = end(a b + bias), where bias [columns] is aligned to 64 bytes.
template <class End>
HWY_INLINE void ProductTilesWith(const float* a, int64_t a_row, const float* b, int64_t b_row,
                                 const float* bias, float* c, int64_t c_row, int64_t rows,
                                 int64_t columns, int64_t depth, const End& end) {
  const TileFloat d;
  ForProductTiles(rows, columns, [&](auto vectors, int64_t i, int64_t j) HWY_ATTR {
    ProductTile<decltype(vectors)::value>(
        a + i * a_row, a_row, b + j, b_row, c + i * c_row + j, c_row, depth,
        [=](int, int64_t v) HWY_ATTR { return hn::Load(d, bias + j + v); }, end);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace residua::kernels
HWY_AFTER_NAMESPACE();

#endif  // include guard of each target
