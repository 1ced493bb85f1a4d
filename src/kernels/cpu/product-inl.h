// The product of packed rows and a packed weight. A few hundred columns of a few panels are widened to floats
// in the L1 cache and multiplied by every tile of rows; a single row multiplies lines as they come from
// memory.
#pragma once

#include "kernels/cpu/line_formats-inl.h"
#include "kernels/cpu/tile-inl.h"

namespace farthing::kernels::FARTHING_ISA_NAMESPACE {

// So few rows multiply lines as they come from memory. The panels that they meet at once are independent
// chains that hide the latency of a multiply-add, and streams for the prefetcher; sums of all rows and panels
// stay in registers.
inline constexpr int kFusedRows = kVecsPerPanel == 1 ? 8 : 4;
constexpr int fused_panels(int rows) {
  return rows <= kFusedRows / 2 ? 4 / kVecsPerPanel : 2 / kVecsPerPanel;
}

inline Vec load_zero_point(const PanelView& weight, std::int64_t panel, std::int64_t group, int lane) {
  if (weight.zero_points == nullptr) return zero();
  return load_int8(weight.zero_points + (panel * weight.groups + group) * kPanelRows + lane);
}

inline Vec load_scale(const PanelView& weight, std::int64_t panel, std::int64_t group, int lane) {
  if (weight.scales == nullptr) return set(weight.factor);
  const std::int64_t at = (panel * weight.groups + group) * kPanelRows + lane;
  const auto* halves = reinterpret_cast<const std::uint16_t*>(weight.scales) + at;
  if (weight.scale_type == DType::kBF16) return load_bfloat(halves);
  if (weight.scale_type == DType::kF16) return load_half(halves);
  return load(reinterpret_cast<const float*>(weight.scales) + at);
}

/// Columns [begin, end) of a panel for the outputs from `lane` on; lines at the borders may be cut.
template <typename Format>
void widen_columns(const std::byte* panel, int lane, const typename Format::Offsets& offsets,
                   std::int64_t begin, std::int64_t end, float* out) {
  std::int64_t column = begin;
  while (column < end) {
    const auto line = Format::open(panel + column / Format::kColumns * kLineBytes, lane);
    const int first = static_cast<int>(column % Format::kColumns);
    if (first == 0 && end - column >= Format::kColumns) {
#pragma GCC unroll 8
      for (int i = 0; i < Format::kColumns; ++i) store(out + i * kPanelRows, Format::value(line, i, offsets));
      column += Format::kColumns;
      out += Format::kColumns * kPanelRows;
    } else {
      const int last = static_cast<int>(std::min<std::int64_t>(Format::kColumns, first + end - column));
      for (int i = first; i < last; ++i, out += kPanelRows) store(out, Format::value(line, i, offsets));
      column += last - first;
    }
  }
}

/// Widens columns [begin, end) of one panel to `out` [end - begin, 16], without scales.
struct WidenPanel {
  const PanelView& weight;
  std::int64_t panel, begin, end;
  float* out;

  template <typename Format>
  void run() const {
    for (std::int64_t from = begin; from < end;) {
      const std::int64_t group = from / weight.group_size;
      const std::int64_t to = std::min(end, (group + 1) * weight.group_size);
      for (int lane = 0; lane < kPanelRows; lane += kLanes) {
        const auto offsets = Format::offsets(load_zero_point(weight, panel, group, lane));
        widen_columns<Format>(weight.panel(panel), lane, offsets, from, to,
                              out + (from - begin) * kPanelRows + lane);
      }
      from = to;
    }
  }
};

/// sums[r] += x[k, r] * w[., k] for columns [begin, end), column after column; `x` is [columns, kRows].
template <typename Format, int kRows, int kPanels>
inline void add_columns(const float* x, const std::byte* const* panels,
                        const typename Format::Offsets* offsets, std::int64_t begin, std::int64_t end,
                        Vec (*sums)[kPanels * kVecsPerPanel]) {
  constexpr int kVecs = kPanels * kVecsPerPanel;
  const auto add_column = [&](const auto* line, int i, std::int64_t column) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      const Vec weights = Format::value(line[v], i, offsets[v]);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sums[r][v] = fma(set(x[column * kRows + r]), weights, sums[r][v]);
    }
  };
  std::int64_t column = begin;
  while (column < end) {
    const std::int64_t at = column / Format::kColumns * kLineBytes;
    const int first = static_cast<int>(column % Format::kColumns);
    decltype(Format::open(nullptr, 0)) line[kVecs];
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v)
      line[v] = Format::open(panels[v / kVecsPerPanel] + at, v % kVecsPerPanel * kLanes);
    if (first == 0 && end - column >= Format::kColumns) {
#pragma GCC unroll 8
      for (int i = 0; i < Format::kColumns; ++i) add_column(line, i, column + i);
      column += Format::kColumns;
    } else {
      const int last = static_cast<int>(std::min<std::int64_t>(Format::kColumns, first + end - column));
      for (int i = first; i < last; ++i, ++column) add_column(line, i, column);
    }
  }
}

/// All columns of kPanels panels from `panel` on, times kRows rows.
template <typename Format, int kRows, int kPanels>
void multiply_few_rows(const ProductBlock& block, std::int64_t panel) {
  constexpr int kVecs = kPanels * kVecsPerPanel;
  const PanelView& weight = block.weight;
  const std::byte* panels[kPanels];
  for (int p = 0; p < kPanels; ++p) panels[p] = weight.panel(panel + p);
  for (std::int64_t begin = 0; begin < weight.columns;) {
    const std::int64_t end = block_end(weight, begin), group = begin / weight.group_size;
    typename Format::Offsets offsets[kVecs];
    Vec sums[kRows][kVecs];
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      offsets[v] = Format::offsets(
          load_zero_point(weight, panel + v / kVecsPerPanel, group, v % kVecsPerPanel * kLanes));
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sums[r][v] = zero();
    }
    add_columns<Format, kRows, kPanels>(block.packed_rows, panels, offsets, begin, end, sums);
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      const Vec scale = load_scale(weight, panel + v / kVecsPerPanel, group, v % kVecsPerPanel * kLanes);
      const std::int64_t output = panel * kPanelRows + v * kLanes,
                         left = std::min<std::int64_t>(weight.rows - output, kLanes);
      if (left <= 0) continue;
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        float* y = block.y + r * block.y_stride + output;
        store_first(y, fma(scale, sums[r][v], load_first(y, left)), left);
      }
    }
    begin = end;
  }
}

template <int kRows>
struct MultiplyFewRows {
  const ProductBlock& block;
  std::int64_t panel_begin, panel_end;

  template <typename Format>
  void run() const {
    constexpr int kPanels = fused_panels(kRows);
    std::int64_t panel = panel_begin;
    for (; panel_end - panel >= kPanels; panel += kPanels)
      multiply_few_rows<Format, kRows, kPanels>(block, panel);
    for (; panel < panel_end; ++panel) multiply_few_rows<Format, kRows, 1>(block, panel);
  }
};

/// 1 <= block.num_rows <= kFusedRows.
template <int kRows = kFusedRows>
void multiply_fused(const ProductBlock& block, std::int64_t panel_begin, std::int64_t panel_end) {
  if constexpr (kRows > 1) {
    if (block.num_rows < kRows) return multiply_fused<kRows - 1>(block, panel_begin, panel_end);
  }
  with_format(block.weight.format, MultiplyFewRows<kRows>{block, panel_begin, panel_end});
}

/// A few panels of a chunk of columns, as the tiles want them.
struct WidePanels {
  const float* values;  // [panels][columns, 16], `stride` floats from panel to panel
  std::int64_t stride;
  std::int64_t begin, end;  // columns
  int panels;
  const float* scales;  // [blocks of the chunk][kTilePanels * 16]
};

/// Adds the products of one tile of rows with `wide`; `y` is where the first row meets the first panel.
inline void multiply_chunk(const ProductBlock& block, const WidePanels& wide, const float* rows,
                           std::int64_t num_rows, float* y, std::int64_t y_stride, std::int64_t outputs) {
  const TileFunction tile = tile_function(num_rows, wide.panels);
  const float* scale = wide.scales;
  for (std::int64_t begin = wide.begin; begin < wide.end; scale += kTilePanels * kPanelRows) {
    const std::int64_t end = block_end(block.weight, begin);
    tile(rows + (begin - wide.begin) * num_rows, end - begin, wide.values + (begin - wide.begin) * kPanelRows,
         wide.stride, scale, y, y_stride, outputs);
    begin = end;
  }
}

/// The same for a tile that the diagonal crosses: through a copy, of which only the upper part is added.
inline void multiply_diagonal_chunk(const ProductBlock& block, const WidePanels& wide, const float* rows,
                                    std::int64_t row, std::int64_t num_rows, std::int64_t output,
                                    std::int64_t outputs) {
  constexpr std::int64_t kStride = kTilePanels * kPanelRows;
  float sums[kTileRows * kStride] = {};
  multiply_chunk(block, wide, rows, num_rows, sums, kStride, outputs);
  for (std::int64_t r = 0; r < num_rows; ++r) {
    float* y = block.y + (row + r) * block.y_stride + output;
    for (std::int64_t c = std::max<std::int64_t>(0, block.diagonal + row + r - output); c < outputs; ++c)
      y[c] += sums[r * kStride + c];
  }
}

inline void multiply_rows(const ProductBlock& block, const WidePanels& wide, std::int64_t output) {
  const RowTiles tiles{block.num_rows, kTileRows};
  const std::int64_t outputs = std::min(wide.panels * kPanelRows, block.weight.rows - output);
  for (std::int64_t t = 0; t < tiles.count(); ++t) {
    const std::int64_t row = tiles.begin(t), num_rows = tiles.begin(t + 1) - row;
    const float* rows = block.packed_rows + block.num_rows * wide.begin + row * (wide.end - wide.begin);
    if (block.upper && output < block.diagonal + row + num_rows - 1) {
      if (output + outputs > block.diagonal + row)
        multiply_diagonal_chunk(block, wide, rows, row, num_rows, output, outputs);
    } else {
      multiply_chunk(block, wide, rows, num_rows, block.y + row * block.y_stride + output, block.y_stride,
                     outputs);
    }
  }
}

inline void load_scales(const PanelView& weight, std::int64_t panel, int panels, std::int64_t begin,
                        std::int64_t end, float* scales) {
  for (; begin < end; begin = block_end(weight, begin), scales += kTilePanels * kPanelRows) {
    for (int v = 0; v < panels * kVecsPerPanel; ++v) {
      store(scales + v * kLanes, load_scale(weight, panel + v / kVecsPerPanel, begin / weight.group_size,
                                            v % kVecsPerPanel * kLanes));
    }
  }
}

inline void fill_with_bias(const ProductBlock& block, std::int64_t begin, std::int64_t end) {
  for (std::int64_t r = 0; r < block.num_rows; ++r) {
    for (std::int64_t n = begin; n < end; ++n)
      block.y[r * block.y_stride + n] = block.bias == nullptr ? 0.0f : block.bias[n];
  }
}

// Packed rows that stay in the L2 cache while a whole panel goes by.
inline constexpr std::int64_t kCachedFloats = 96 << 10;

inline void multiply_many_rows(const ProductBlock& block, std::int64_t panel_begin, std::int64_t panel_end) {
  const PanelView& weight = block.weight;
  alignas(64) float widened[kTilePanels * kBlockColumns * kPanelRows];
  alignas(64) float scales[kMostGroups * kTilePanels * kPanelRows];
  // Memory likes whole panels one after the other; many rows like to meet all panels chunk by chunk.
  const bool rows_are_cached = block.num_rows * weight.columns <= kCachedFloats;
  const std::int64_t stripe = rows_are_cached ? kTilePanels : panel_end - panel_begin;
  for (std::int64_t stripe_begin = panel_begin; stripe_begin < panel_end; stripe_begin += stripe) {
    const std::int64_t stripe_end = std::min(panel_end, stripe_begin + stripe);
    for (std::int64_t begin = 0; begin < weight.columns;) {
      const std::int64_t end = chunk_end(weight, begin);
      for (std::int64_t panel = stripe_begin; panel < stripe_end;) {
        const int panels = stripe_end - panel >= kTilePanels ? kTilePanels : 1;
        WidePanels wide{widened, (end - begin) * kPanelRows, begin, end, panels, scales};
        if (weight.format == LineFormat::kF32) {
          wide.values = reinterpret_cast<const float*>(weight.panel(panel)) + begin * kPanelRows;
          wide.stride = weight.lines * kPanelRows;
        } else {
          for (int p = 0; p < panels; ++p)
            with_format(weight.format, WidenPanel{weight, panel + p, begin, end, widened + p * wide.stride});
        }
        load_scales(weight, panel, panels, begin, end, scales);
        multiply_rows(block, wide, panel * kPanelRows);
        panel += panels;
      }
      begin = end;
    }
  }
}

/// KernelTable::multiply.
inline void multiply(const ProductBlock& block, std::int64_t panel_begin, std::int64_t panel_end) {
  if (block.overwrite)
    fill_with_bias(block, panel_begin * kPanelRows, std::min(panel_end * kPanelRows, block.weight.rows));
  if (block.num_rows <= kFusedRows && !block.upper) {
    multiply_fused(block, panel_begin, panel_end);
  } else {
    multiply_many_rows(block, panel_begin, panel_end);
  }
}

/// KernelTable::pack_rows: [chunk][tile][column][row of the tile].
inline void pack_rows(const RowSource& x, std::int64_t num_rows, const PanelView& weight,
                      std::int64_t tile_begin, std::int64_t tile_end, float* packed_rows) {
  const RowTiles tiles{num_rows, kTileRows};
  for (std::int64_t begin = 0; begin < weight.columns;) {
    const std::int64_t end = chunk_end(weight, begin);
    for (std::int64_t t = tile_begin; t < tile_end; ++t) {
      const std::int64_t row = tiles.begin(t), rows = tiles.begin(t + 1) - row;
      float* out = packed_rows + num_rows * begin + row * (end - begin);
      for (std::int64_t k = begin; k < end; ++k) {
        const float* from =
            x.data + row * x.row_stride + (x.order == nullptr ? k : x.order[k]) * x.column_stride;
        for (std::int64_t r = 0; r < rows; ++r) *out++ = from[r * x.row_stride];
      }
    }
    begin = end;
  }
}

}  // namespace farthing::kernels::FARTHING_ISA_NAMESPACE
