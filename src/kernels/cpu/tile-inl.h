// The register tile under every matrix product: kRows rows times kVecs vectors of outputs.
#pragma once

namespace farthing::kernels::FARTHING_ISA_NAMESPACE {

inline constexpr int kVecsPerPanel = kPanelRows / kLanes;

/// y[r, c] = fma(scale[c], sum_k a[r, k] b[k, c], y[r, c]), the sum being one chain of fused multiply-adds.
/// `a` is packed, [k, kRows], or if kStride > 0 has rows that are kStride floats apart. `b` is panels of [k,
/// 16] that are `b_stride` floats apart. Columns from `columns` on are not touched.
template <int kRows, int kVecs, int kStride = 0>
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
      const Vec x = set(kStride == 0 ? a[i * kRows + r] : a[r * kStride + i]);
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

inline constexpr int kTilePanels = 2 / kVecsPerPanel;

/// Returns the tile of 1 <= rows <= kTileRows rows and of one or kTilePanels panels.
template <int kStride = 0, int kRows = kTileRows>
TileFunction tile_function(std::int64_t rows, std::int64_t panels) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile_function<kStride, kRows - 1>(rows, panels);
  }
  return panels == 1 ? multiply_tile<kRows, kVecsPerPanel, kStride>
                     : multiply_tile<kRows, kTilePanels * kVecsPerPanel, kStride>;
}

}  // namespace farthing::kernels::FARTHING_ISA_NAMESPACE
