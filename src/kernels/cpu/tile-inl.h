// The register tile under every matrix product: kRows rows times kVecs vectors of outputs.
#pragma once

namespace farthing::kernels::FARTHING_ISA_NAMESPACE {

inline constexpr int kVecsPerPanel = kPanelRows / kLanes;

/// Columns of a tile from one fetched line to the next.
inline constexpr std::int64_t kFetchStep = 8;

/// sums[r, c] = fma(scale[c], sum_k a[r, k] b[k, c], sums[r, c]), the sum over k being one chain of fused
/// multiply-adds. `a` is packed, [k, kRows], or if kStride > 0 has rows that are kStride floats apart. `b` is
/// panels of [k, 16] that are `b_stride` floats apart. Every kFetchStep columns a line from `next` on is
/// fetched into the L2 cache, if there is such.
template <int kRows, int kVecs, int kStride = 0>
void multiply_tile(const float* a, std::int64_t k, const float* b, std::int64_t b_stride, const float* scale,
                   float* sums, std::int64_t sums_stride, const std::byte* next) {
  Vec chains[kRows][kVecs];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) chains[r][v] = zero();
  }
  for (std::int64_t i = 0; i < k; ++i) {
    if (i % kFetchStep == 0 && next != nullptr) {
      _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T1);
      next += kLineBytes;
    }
    Vec weights[kVecs];
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      weights[v] = load(b + v / kVecsPerPanel * b_stride + i * kPanelRows + v % kVecsPerPanel * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vec x = set(kStride == 0 ? a[i * kRows + r] : a[r * kStride + i]);
#pragma GCC unroll 16
      for (int v = 0; v < kVecs; ++v) chains[r][v] = fma(x, weights[v], chains[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      float* out = sums + r * sums_stride + v * kLanes;
      store(out, fma(load(scale + v * kLanes), chains[r][v], load(out)));
    }
  }
}

using TileFunction = void (*)(const float* a, std::int64_t k, const float* b, std::int64_t b_stride,
                              const float* scale, float* sums, std::int64_t sums_stride,
                              const std::byte* next);

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
