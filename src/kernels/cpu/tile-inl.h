// The register tile under every matrix product: kRows rows times kVecs vectors of outputs.
#pragma once

namespace farthing::kernels::FARTHING_ISA_NAMESPACE {

inline constexpr int kVecsPerPanel = kPanelRows / kLanes;

/// y[r, c] = fma(scale[c], sum_k a[k, r] b[k, c], y[r, c]), the sum being one chain of fused multiply-adds.
/// `a` is [k, kRows], `b` is panels of [k, 16] that are `b_stride` floats apart. Columns from `columns` on
/// are not touched.
template <int kRows, int kVecs>
void multiply_tile(const float* a, std::int64_t k, const float* b, std::int64_t b_stride, const float* scale,
                   float* y, std::int64_t y_stride, std::int64_t columns) {
  Vec sums[kRows][kVecs];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) sums[r][v] = zero();
  }
  for (std::int64_t i = 0; i < k; ++i) {
    Vec weights[kVecs];
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      weights[v] = load(b + v / kVecsPerPanel * b_stride + i * kPanelRows + v % kVecsPerPanel * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vec x = set(a[i * kRows + r]);
#pragma GCC unroll 16
      for (int v = 0; v < kVecs; ++v) sums[r][v] = fma(x, weights[v], sums[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      float* out = y + r * y_stride + v * kLanes;
      const std::int64_t left = columns - v * kLanes;
      if (left >= kLanes) {
        store(out, fma(load(scale + v * kLanes), sums[r][v], load(out)));
      } else if (left > 0) {
        store_first(out, fma(load(scale + v * kLanes), sums[r][v], load_first(out, left)), left);
      }
    }
  }
}

using TileFunction = void (*)(const float* a, std::int64_t k, const float* b, std::int64_t b_stride,
                              const float* scale, float* y, std::int64_t y_stride, std::int64_t columns);

// With few rows a wider tile keeps enough independent chains to hide the latency of a multiply-add (4 cycles,
// 2 units).
inline constexpr int kFewRows = kTileRows / 4;
inline constexpr int kTilePanels = 2 / kVecsPerPanel;
inline constexpr int kFewRowsPanels = 2 * kTilePanels;

/// The panels that one tile of `rows` rows covers; a single panel works with every number of rows.
inline int panels_of_tile(std::int64_t rows) {
  return rows <= kFewRows ? kFewRowsPanels : kTilePanels;
}

template <int kRows>
TileFunction tile_function(bool single_panel) {
  constexpr int kPanels = kRows <= kFewRows ? kFewRowsPanels : kTilePanels;
  return single_panel ? multiply_tile<kRows, kVecsPerPanel> : multiply_tile<kRows, kPanels * kVecsPerPanel>;
}

/// 1 <= rows <= kTileRows; `panels` is 1 or panels_of_tile(rows).
template <int kRows = kTileRows>
TileFunction tile_function(std::int64_t rows, std::int64_t panels) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile_function<kRows - 1>(rows, panels);
  }
  return tile_function<kRows>(panels == 1);
}

}  // namespace farthing::kernels::FARTHING_ISA_NAMESPACE
