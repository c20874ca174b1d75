#include "residua/kernels/fused_block.h"

#include <algorithm>
#include <cstring>
#include <vector>

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "residua/kernels/fused_block.cpp"
#include <hwy/aligned_allocator.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "residua/kernels/functions-inl.h"
#include "residua/kernels/product-inl.h"

#ifndef RESIDUA_KERNELS_FUSED_BLOCK_ONCE_
#define RESIDUA_KERNELS_FUSED_BLOCK_ONCE_
namespace residua::kernels {

constexpr int64_t kBlockUnit = 16;      // channels are filled up to a multiple
constexpr int64_t kBlockChunk = 64;     // channels of the middle at a time
constexpr int64_t kBlockPlaces = 1024;  // about so many places of x in a tile: a chunk of them
                                        // takes a quarter of the second cache

inline int64_t filled(int64_t n) { return (n + kBlockUnit - 1) / kBlockUnit * kBlockUnit; }

using AlignedFloats = hwy::AlignedFreeUniquePtr<float[]>;

inline AlignedFloats zeros(int64_t n) {
  auto memory = hwy::AllocateAligned<float>(static_cast<size_t>(std::max<int64_t>(n, 1)));
  std::fill(memory.get(), memory.get() + n, 0.0f);
  return memory;
}

// Some of the middle's channels. `expand` is [in, filled(count)], `project` [rows,
// filled(outputs)].
struct BlockChunk {
  int64_t first_group = 0, groups = 0;  // of the grouped convolution, when it is in the middle
  int64_t expanded = 0, projected = 0;  // channels that the expansion gives, the projection reads
  AlignedFloats expand, expand_bias, project;
};

struct FusedBlock::Packed {
  BlockShape s;
  int64_t group_in = 1, group_out = 1, rows = 1;  // rows: of a tile
  AlignedFloats grouped, grouped_bias;  // [group][tap][in][out], out filled to a multiple of 8;
                                        // depthwise: [tap][channel]
  int64_t group_filled = 8;
  AlignedFloats project_bias;
  std::vector<BlockChunk> chunks;

  bool depthwise() const { return group_in == 1 && group_out == 1; }
  int64_t taps() const { return s.kernel_height * s.kernel_width; }
  int64_t in_rows() const { return (rows - 1) * s.stride + s.kernel_height; }
  int64_t places() const { return (rows * s.out_width() + 3) / 4 * 4; }
  int64_t in_places() const { return (in_rows() * s.width + 3) / 4 * 4; }
  int64_t chunk_width() const {
    return std::max(kBlockChunk, filled(std::max(group_in, group_out)));
  }
};

// The parts of a workspace: x's tile, the grouped result or the expanded rows, a chunk, the sum.
struct BlockWorkspace {
  float *x, *wide, *chunk, *sum;
  int64_t floats;
  BlockWorkspace(const FusedBlock::Packed& p, float* at) {
    const BlockShape& s = p.s;
    const int64_t x_floats = p.in_places() * filled(s.channels);
    const int64_t wide_floats =
        s.conv_first ? p.places() * filled(s.grouped_outputs) : p.in_places() * p.chunk_width();
    const int64_t chunk_floats = p.places() * p.chunk_width();
    x = at;
    wide = x + x_floats;
    chunk = wide + wide_floats;
    sum = chunk + chunk_floats;
    floats = x_floats + wide_floats + chunk_floats + p.places() * filled(s.outputs);
  }
};

// A source of the grouped convolution: rows [first, first + rows) of an image, channels last.
struct GroupedSource {
  const float* data;
  int64_t first, rows, width, pitch;
};

}  // namespace residua::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace residua::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void FillRows(float* y, int64_t rows, int64_t pitch, const float* row, int64_t n) {
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(y + r * pitch, row, static_cast<size_t>(n) * sizeof(float));
}

void ApplyOver(const FunctionCall& call, float* y, int64_t rows, int64_t pitch, int64_t n) {
  const TileFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  WithFunction(d, call, [&](auto f) HWY_ATTR {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < n; i += lanes)
        hn::Store(f(hn::Load(d, y + r * pitch + i)), d, y + r * pitch + i);
  });
}

// Calls visit(tap, place of the source) for the taps of one result that lie in the image.
template <class Visit>
HWY_INLINE void ForTaps(const BlockShape& s, const GroupedSource& src, int64_t oy, int64_t ox,
                        const Visit& visit) {
  const int64_t top = oy * s.stride - s.padding, left = ox * s.stride - s.padding;
  const int64_t x0 = std::max<int64_t>(0, -left),
                x1 = std::min<int64_t>(s.kernel_width, src.width - left);
  for (int64_t ky = 0; ky < s.kernel_height; ++ky) {
    const int64_t row = top + ky - src.first;
    if (row < 0 || row >= src.rows) continue;
    for (int64_t kx = x0; kx < x1; ++kx)
      visit(ky * s.kernel_width + kx, src.data + (row * src.width + left + kx) * src.pitch);
  }
}

void Depthwise(const FusedBlock::Packed& p, const GroupedSource& src, int64_t oy, int64_t ox,
               int64_t first, int64_t count, float* y) {
  const TileFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t pitch = filled(p.s.grouped_outputs) + kBlockUnit;
  for (int64_t c = 0; c < count; c += lanes) {
    auto sum = hn::LoadU(d, p.grouped_bias.get() + first + c);
    ForTaps(p.s, src, oy, ox, [&](int64_t tap, const float* x) HWY_ATTR {
      sum = hn::MulAdd(hn::LoadU(d, x + c), hn::LoadU(d, p.grouped.get() + tap * pitch + first + c),
                       sum);
    });
    hn::StoreU(sum, d, y + c);
  }
}

// A row of 3x3 results for one vector of channels, the weights of kRows rows of taps in registers.
// Only results whose taps all lie in the row's width; `x` is the first of them.
template <int kRows>
HWY_INLINE void Depthwise3Row(const float* HWY_RESTRICT x, int64_t x_row, int64_t x_step,
                              int64_t x_pitch, const float* HWY_RESTRICT weights,
                              int64_t weight_pitch, const float* bias, float* HWY_RESTRICT y,
                              int64_t y_pitch, int64_t count) {
  const TileFloat d;
  hn::Vec<TileFloat> w[kRows][3];
  for (int r = 0; r < kRows; ++r)
    for (int k = 0; k < 3; ++k) w[r][k] = hn::LoadU(d, weights + (3 * r + k) * weight_pitch);
  const auto start = hn::LoadU(d, bias);
  for (int64_t i = 0; i < count; ++i, x += x_step, y += y_pitch) {
    auto sum = start;
    for (int r = 0; r < kRows; ++r)
      for (int k = 0; k < 3; ++k)
        sum = hn::MulAdd(hn::LoadU(d, x + r * x_row + k * x_pitch), w[r][k], sum);
    hn::StoreU(sum, d, y);
  }
}

// Rows [begin, end) of a 3x3 depthwise convolution; the source's channel 0 is `first`.
void Depthwise3(const FusedBlock::Packed& p, const GroupedSource& src, int64_t begin, int64_t end,
                int64_t first, int64_t channels, float* y, int64_t y_pitch) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(TileFloat()));
  const BlockShape& s = p.s;
  const int64_t width = s.out_width(), pitch = filled(s.grouped_outputs) + kBlockUnit;
  // Results with every column of taps in the image.
  const int64_t inner_begin = std::min((s.padding + s.stride - 1) / s.stride, width);
  const int64_t inner_end =
      std::clamp<int64_t>((src.width - 3 + s.padding) / s.stride + 1, inner_begin, width);
  for (int64_t oy = begin; oy < end; ++oy) {
    float* row = y + (oy - begin) * width * y_pitch;
    for (int64_t ox = 0; ox < inner_begin; ++ox)
      Depthwise(p, src, oy, ox, first, channels, row + ox * y_pitch);
    for (int64_t ox = inner_end; ox < width; ++ox)
      Depthwise(p, src, oy, ox, first, channels, row + ox * y_pitch);
  }
  for (int64_t c = 0; c < channels; c += lanes)
    for (int64_t oy = begin; oy < end; ++oy) {
      const int64_t top = oy * s.stride - s.padding - src.first;
      const int64_t k0 = std::max<int64_t>(0, -top), k1 = std::min<int64_t>(3, src.rows - top);
      const int64_t left = inner_begin * s.stride - s.padding;
      const float* x = src.data + ((top + k0) * src.width + left) * src.pitch + c;
      const float* weights = p.grouped.get() + 3 * k0 * pitch + first + c;
      const float* bias = p.grouped_bias.get() + first + c;
      float* to = y + ((oy - begin) * width + inner_begin) * y_pitch + c;
      const auto run = [&](auto rows) HWY_ATTR {
        Depthwise3Row<decltype(rows)::value>(x, src.width * src.pitch, s.stride * src.pitch,
                                             src.pitch, weights, pitch, bias, to, y_pitch,
                                             inner_end - inner_begin);
      };
      switch (k1 - k0) {
        case 1: run(std::integral_constant<int, 1>()); break;
        case 2: run(std::integral_constant<int, 2>()); break;
        case 3: run(std::integral_constant<int, 3>()); break;
        default:  // none of the rows lies in the image
          for (int64_t ox = inner_begin; ox < inner_end; ++ox)
            Depthwise(p, src, oy, ox, first + c, std::min(lanes, channels - c),
                      to + (ox - inner_begin) * y_pitch);
      }
    }
}

// One group's outputs, 8 at a time.
void GroupOutputs(const FusedBlock::Packed& p, const GroupedSource& src, int64_t oy, int64_t ox,
                  int64_t group, int64_t x_channel, float* y) {
  const hn::CappedTag<float, 8> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const float* weights = p.grouped.get() + group * p.taps() * p.group_in * p.group_filled;
  for (int64_t o = 0; o < p.group_out; o += lanes) {
    auto sum = hn::Zero(d);
    ForTaps(p.s, src, oy, ox, [&](int64_t tap, const float* x) HWY_ATTR {
      const float* w = weights + tap * p.group_in * p.group_filled + o;
      for (int64_t i = 0; i < p.group_in; ++i, w += p.group_filled)
        sum = hn::MulAdd(hn::Set(d, x[x_channel + i]), hn::Load(d, w), sum);
    });
    HWY_ALIGN float out[8];
    hn::Store(sum, d, out);
    const float* bias = p.grouped_bias.get() + group * p.group_out + o;
    for (int64_t i = 0; i < std::min(lanes, p.group_out - o); ++i) y[o + i] = out[i] + bias[i];
  }
}

// Rows [begin, end) of the grouped convolution for some groups; the source's channel 0 is the first
// of them.
void GroupedRows(const FusedBlock::Packed& p, const GroupedSource& src, int64_t begin, int64_t end,
                 int64_t first_group, int64_t groups, float* y, int64_t y_pitch) {
  const int64_t width = p.s.out_width();
  if (p.depthwise() && p.s.kernel_height == 3 && p.s.kernel_width == 3)
    return Depthwise3(p, src, begin, end, first_group, groups, y, y_pitch);
  for (int64_t oy = begin; oy < end; ++oy)
    for (int64_t ox = 0; ox < width; ++ox, y += y_pitch) {
      if (p.depthwise()) {
        Depthwise(p, src, oy, ox, first_group, groups, y);
        continue;
      }
      for (int64_t g = 0; g < groups; ++g)
        GroupOutputs(p, src, oy, ox, first_group + g, g * p.group_in, y + g * p.group_out);
    }
}

// y = f(a b + bias), with the function in the product's registers where it is a clamp.
void ExpandTiles(const FunctionCall& f, const float* a, int64_t a_row, const float* b,
                 int64_t columns, const float* bias, float* y, int64_t y_row, int64_t rows,
                 int64_t depth) {
  const TileFloat d;
  if (f.function == Function::clamp) {
    const auto low = hn::Set(d, f.alpha), high = hn::Set(d, f.beta);
    return ProductTilesWith(a, a_row, b, columns, bias, y, y_row, rows, columns, depth,
                            [=](hn::Vec<TileFloat> sum)
                                HWY_ATTR { return hn::Min(hn::Max(sum, low), high); });
  }
  ProductTilesWith(a, a_row, b, columns, bias, y, y_row, rows, columns, depth,
                   [](hn::Vec<TileFloat> sum) HWY_ATTR { return sum; });
  ApplyOver(f, y, rows, y_row, columns);
}

void BlockTile(const FusedBlock::Packed& p, const float* x, float* y, int64_t tile,
               float* workspace) {
  const BlockShape& s = p.s;
  const BlockWorkspace w(p, workspace);
  const int64_t begin = tile * p.rows, end = std::min(begin + p.rows, s.out_height());
  const int64_t width = s.out_width(), places = (end - begin) * width;
  const int64_t tiles = (places + kTileRows - 1) / kTileRows * kTileRows;
  const int64_t top = std::max<int64_t>(0, begin * s.stride - s.padding);
  const int64_t bottom = std::min(s.height, (end - 1) * s.stride - s.padding + s.kernel_height);
  const int64_t in_rows = std::max<int64_t>(0, bottom - top);
  const int64_t x_pitch = filled(s.channels), sum_pitch = filled(s.outputs);
  const int64_t chunk_pitch = p.chunk_width();
  for (int64_t i = 0; i < in_rows * s.width; ++i) {  // x's tile, filled up
    std::memcpy(w.x + i * x_pitch, x + (top * s.width + i) * s.channels,
                static_cast<size_t>(s.channels) * sizeof(float));
    std::fill(w.x + i * x_pitch + s.channels, w.x + (i + 1) * x_pitch, 0.0f);
  }
  FillRows(w.sum, tiles, sum_pitch, p.project_bias.get(), sum_pitch);
  const int64_t wide_pitch = s.conv_first ? filled(s.grouped_outputs) : chunk_pitch;
  if (s.conv_first)
    GroupedRows(p, {w.x, top, in_rows, s.width, x_pitch}, begin, end, 0, s.groups, w.wide,
                wide_pitch);
  const int64_t in_tiles = (in_rows * s.width + kTileRows - 1) / kTileRows * kTileRows;
  for (const BlockChunk& c : p.chunks) {
    const int64_t columns = filled(c.expanded);
    if (s.conv_first) {
      ExpandTiles(s.activation, w.wide, wide_pitch, c.expand.get(), columns, c.expand_bias.get(),
                  w.chunk, chunk_pitch, tiles, s.grouped_outputs);
    } else {
      ExpandTiles(s.activation, w.x, x_pitch, c.expand.get(), columns, c.expand_bias.get(), w.wide,
                  wide_pitch, in_tiles, s.channels);
      GroupedRows(p, {w.wide, top, in_rows, s.width, wide_pitch}, begin, end, c.first_group,
                  c.groups, w.chunk, chunk_pitch);
      ApplyOver(s.activation, w.chunk, places, chunk_pitch, filled(c.projected));
    }
    ProductTiles<true>(w.chunk, chunk_pitch, c.project.get(), sum_pitch, w.sum, sum_pitch, tiles,
                       sum_pitch, c.projected);
  }
  float* out = y + begin * width * s.outputs;
  const float* from = x + begin * width * s.outputs;  // of a residual block, whose shape stays
  for (int64_t i = 0; i < places; ++i, out += s.outputs, from += s.outputs)
    for (int64_t k = 0; k < s.outputs; ++k)
      out[k] = w.sum[i * sum_pitch + k] + (s.residual ? from[k] : 0);
}

}  // namespace HWY_NAMESPACE
}  // namespace residua::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace residua::kernels {

HWY_EXPORT(BlockTile);

namespace {

// weight [out, in] to [in, filled(out)].
AlignedFloats transposed(const float* weight, int64_t out, int64_t in, int64_t in_pitch) {
  AlignedFloats t = zeros(in * filled(out));
  for (int64_t o = 0; o < out; ++o)
    for (int64_t i = 0; i < in; ++i)
      t[static_cast<size_t>(i * filled(out) + o)] = weight[o * in_pitch + i];
  return t;
}

AlignedFloats filled_copy(const float* from, int64_t n) {
  AlignedFloats to = zeros(filled(n) + kBlockUnit);
  std::copy(from, from + n, to.get());
  return to;
}

void pack_grouped(FusedBlock::Packed& p, const float* weight, const float* bias) {
  const int64_t taps = p.taps();
  p.grouped_bias = filled_copy(bias, p.s.grouped_outputs);
  if (p.depthwise()) {
    const int64_t pitch = filled(p.s.grouped_outputs) + kBlockUnit;
    p.grouped = zeros(taps * pitch);
    for (int64_t c = 0; c < p.s.grouped_outputs; ++c)
      for (int64_t t = 0; t < taps; ++t)
        p.grouped[static_cast<size_t>(t * pitch + c)] = weight[c * taps + t];
    return;
  }
  p.group_filled = (p.group_out + 7) / 8 * 8;
  p.grouped = zeros(p.s.groups * taps * p.group_in * p.group_filled);
  for (int64_t o = 0; o < p.s.grouped_outputs; ++o)
    for (int64_t i = 0; i < p.group_in; ++i)
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t group = o / p.group_out;
        const int64_t at = ((group * taps + t) * p.group_in + i) * p.group_filled + o % p.group_out;
        p.grouped[static_cast<size_t>(at)] = weight[(o * p.group_in + i) * taps + t];
      }
}

BlockChunk make_chunk(const FusedBlock::Packed& p, const BlockWeights& w, int64_t first,
                      int64_t expanded, int64_t first_projected, int64_t projected) {
  const BlockShape& s = p.s;
  const int expand = s.conv_first ? 1 : 0;
  const int64_t in = s.conv_first ? s.grouped_outputs : s.channels;
  const int64_t middle = s.conv_first ? s.middle : s.grouped_outputs;
  BlockChunk c;
  c.expanded = expanded, c.projected = projected;
  c.expand = transposed(w.weight[expand] + first * in, expanded, in, in);
  c.expand_bias = filled_copy(w.bias[expand] + first, expanded);
  c.project = transposed(w.weight[2] + first_projected, s.outputs, projected, middle);
  return c;
}

}  // namespace

FusedBlock::FusedBlock(const BlockShape& shape, const BlockWeights& weights, int64_t least_tiles)
    : packed_(std::make_unique<Packed>()) {
  Packed& p = *packed_;
  p.s = shape;
  const BlockShape& s = p.s;
  p.group_in = (s.conv_first ? s.channels : s.middle) / s.groups;
  p.group_out = s.grouped_outputs / s.groups;
  const int64_t most_rows =
      (kBlockPlaces / std::max<int64_t>(s.width, 1) - s.kernel_height) / s.stride + 1;
  const int64_t shared = (s.out_height() + least_tiles - 1) / std::max<int64_t>(least_tiles, 1);
  p.rows = std::max<int64_t>(1, std::min(most_rows, shared));
  pack_grouped(p, weights.weight[s.conv_first ? 0 : 1], weights.bias[s.conv_first ? 0 : 1]);
  p.project_bias = filled_copy(weights.bias[2], s.outputs);
  if (s.conv_first) {
    for (int64_t first = 0; first < s.middle; first += kBlockChunk) {
      const int64_t count = std::min(kBlockChunk, s.middle - first);
      p.chunks.push_back(make_chunk(p, weights, first, count, first, count));
    }
    return;
  }
  const int64_t step = std::max<int64_t>(1, kBlockChunk / std::max(p.group_in, p.group_out));
  for (int64_t group = 0; group < s.groups; group += step) {
    const int64_t groups = std::min(step, s.groups - group);
    p.chunks.push_back(make_chunk(p, weights, group * p.group_in, groups * p.group_in,
                                  group * p.group_out, groups * p.group_out));
    p.chunks.back().first_group = group;
    p.chunks.back().groups = groups;
  }
}

FusedBlock::~FusedBlock() = default;
FusedBlock::FusedBlock(FusedBlock&&) noexcept = default;

const BlockShape& FusedBlock::shape() const { return packed_->s; }

int64_t FusedBlock::tiles() const {
  return (packed_->s.out_height() + packed_->rows - 1) / packed_->rows;
}

int64_t FusedBlock::workspace_bytes() const {
  return BlockWorkspace(*packed_, nullptr).floats * static_cast<int64_t>(sizeof(float));
}

void FusedBlock::run_tile(const float* x, float* y, int64_t tile, float* workspace) const {
  HWY_DYNAMIC_DISPATCH(BlockTile)(*packed_, x, y, tile, workspace);
}

}  // namespace residua::kernels
#endif  // HWY_ONCE
