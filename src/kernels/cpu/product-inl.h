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
        const auto offsets = Format::offsets(load_zero_point(weight, panel, group, lane), weight.table);
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

/// Adds `sums` [block.num_rows, panels * 16], the products with the panels from `panel` on, to what y starts
/// from.
inline void write_sums(const ProductBlock& block, std::int64_t panel, int panels, const float* sums) {
  const std::int64_t output = panel * kPanelRows, width = panels * kPanelRows;
  const std::int64_t count = std::min(width, block.weight.rows - output);
  for (std::int64_t r = 0; r < block.num_rows; ++r, sums += width) {
    float* y = block.y + r * block.y_stride + output;
    const std::int64_t first =
        block.upper ? std::clamp<std::int64_t>(block.diagonal + r - output, 0, count) : 0;
    if (!block.overwrite) {
      for (std::int64_t c = first; c < count; ++c) y[c] += sums[c];
    } else if (block.bias == nullptr) {
      std::copy(sums + first, sums + count, y + first);
    } else {
      for (std::int64_t c = first; c < count; ++c) y[c] = block.bias[output + c] + sums[c];
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
  alignas(64) float totals[kRows * kVecs * kLanes] = {};
  for (std::int64_t begin = 0; begin < weight.columns;) {
    const std::int64_t end = block_end(weight, begin), group = begin / weight.group_size;
    typename Format::Offsets offsets[kVecs];
    Vec sums[kRows][kVecs];
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      offsets[v] = Format::offsets(
          load_zero_point(weight, panel + v / kVecsPerPanel, group, v % kVecsPerPanel * kLanes),
          weight.table);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sums[r][v] = zero();
    }
    add_columns<Format, kRows, kPanels>(block.packed_rows, panels, offsets, begin, end, sums);
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      const Vec scale = load_scale(weight, panel + v / kVecsPerPanel, group, v % kVecsPerPanel * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        float* total = totals + (r * kVecs + v) * kLanes;
        store(total, fma(scale, sums[r][v], load(total)));
      }
    }
    begin = end;
  }
  write_sums(block, panel, kPanels, totals);
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

inline void load_scales(const PanelView& weight, std::int64_t panel, int panels, std::int64_t begin,
                        std::int64_t end, float* scales) {
  for (; begin < end; begin = block_end(weight, begin), scales += kTilePanels * kPanelRows) {
    for (int v = 0; v < panels * kVecsPerPanel; ++v) {
      store(scales + v * kLanes, load_scale(weight, panel + v / kVecsPerPanel, begin / weight.group_size,
                                            v % kVecsPerPanel * kLanes));
    }
  }
}

/// Adds the products of one tile of rows with `wide` to `sums` [num_rows, panels * 16], while lines from
/// `next` on are fetched.
inline void multiply_chunk(const PanelView& weight, const WidePanels& wide, const float* rows,
                           std::int64_t num_rows, float* sums, const std::byte* next) {
  const TileFunction tile = tile_function(num_rows, wide.panels);
  const float* scale = wide.scales;
  for (std::int64_t begin = wide.begin; begin < wide.end; scale += kTilePanels * kPanelRows) {
    const std::int64_t end = block_end(weight, begin);
    tile(rows + (begin - wide.begin) * num_rows, end - begin, wide.values + (begin - wide.begin) * kPanelRows,
         wide.stride, scale, sums, wide.panels * kPanelRows, next);
    if (next != nullptr) next += (end - begin) / kFetchStep * kLineBytes;
    begin = end;
  }
}

/// The lines of the panels that come next, fetched into the L2 cache a part at a time.
struct NextLines {
  const std::byte* data;
  std::int64_t bytes, panel_bytes;  // of a panel's part; from panel to panel
  int panels;

  /// Where tile `part` of `parts` begins to fetch while it multiplies `columns`: a burst between tiles would
  /// hold up the rows of the next one. Null where there are too few tiles to fetch everything so.
  const std::byte* begin(std::int64_t part, std::int64_t parts, std::int64_t columns) const {
    if (parts < panels || bytes * panels > parts / panels * panels * (columns / kFetchStep) * kLineBytes)
      return nullptr;
    const std::int64_t panel = part * panels / parts;
    const std::int64_t first = (panel * parts + panels - 1) / panels;
    const std::int64_t last = ((panel + 1) * parts + panels - 1) / panels;
    return data + panel * panel_bytes + bytes * (part - first) / (last - first) / kLineBytes * kLineBytes;
  }

  void fetch(std::int64_t part, std::int64_t parts) const {
    for (int p = 0; p < panels; ++p) {
      const std::byte* lines = data + p * panel_bytes;
      for (std::int64_t at = bytes * part / parts / kLineBytes * kLineBytes; at < bytes * (part + 1) / parts;
           at += kLineBytes)
        _mm_prefetch(reinterpret_cast<const char*>(lines + at), _MM_HINT_T1);
    }
  }
};

/// Adds the products of all tiles with `wide` to `sums` [block.num_rows, panels * 16].
inline void multiply_rows(const ProductBlock& block, const WidePanels& wide, std::int64_t panel,
                          const NextLines& next, float* sums) {
  const RowTiles tiles{block.num_rows, kTileRows};
  const std::int64_t last_output = (panel + wide.panels) * kPanelRows - 1;
  for (std::int64_t t = 0; t < tiles.count(); ++t) {
    const std::int64_t row = tiles.begin(t), num_rows = tiles.begin(t + 1) - row;
    if (block.upper && last_output < block.diagonal + row)
      break;  // this tile and the next lie below the diagonal
    const float* rows = block.packed_rows + block.num_rows * wide.begin + row * (wide.end - wide.begin);
    const std::byte* lines = next.begin(t, tiles.count(), wide.end - wide.begin);
    multiply_chunk(block.weight, wide, rows, num_rows, sums + row * wide.panels * kPanelRows, lines);
    if (lines == nullptr) next.fetch(t, tiles.count());
  }
}

// Packed rows that stay in the L2 cache while a whole panel goes by.
inline constexpr std::int64_t kCachedFloats = 96 << 10;

/// Panels that meet all rows chunk by chunk of columns.
struct Stripe {
  const ProductBlock& block;
  std::int64_t panel_begin, panel_end;
  float* widened;  // [kTilePanels][kBlockColumns, 16]
  float* scales;   // [kMostGroups][kTilePanels * 16]
  float* sums;     // [panels][num_rows, 16], zeros at first; kTilePanels panels together are [num_rows,
                   // kTilePanels * 16]

  int panels_at(std::int64_t panel) const { return panel_end - panel >= kTilePanels ? kTilePanels : 1; }
  float* sums_of(std::int64_t panel) const {
    return sums + (panel - panel_begin) * kPanelRows * block.num_rows;
  }

  WidePanels widen(std::int64_t panel, std::int64_t begin, std::int64_t end) const {
    const PanelView& weight = block.weight;
    const int panels = panels_at(panel);
    load_scales(weight, panel, panels, begin, end, scales);
    WidePanels wide{widened, (end - begin) * kPanelRows, begin, end, panels, scales};
    if (weight.format == LineFormat::kF32) {
      wide.values = reinterpret_cast<const float*>(weight.panel(panel)) + begin * kPanelRows;
      wide.stride = weight.lines * kPanelRows;
      return wide;
    }
    for (int p = 0; p < panels; ++p)
      with_format(weight.format, WidenPanel{weight, panel + p, begin, end, widened + p * wide.stride});
    return wide;
  }

  NextLines lines_after(std::int64_t panel, std::int64_t begin, std::int64_t end) const {
    const PanelView& weight = block.weight;
    std::int64_t next = panel + panels_at(panel);
    if (next >= panel_end) {
      next = panel_begin;
      begin = end;
      end = begin < weight.columns ? chunk_end(weight, begin) : begin;
    }
    const std::int64_t width = columns_per_line(weight.format);
    return {weight.panel(next) + begin / width * kLineBytes, (end - begin) / width * kLineBytes,
            weight.lines * kLineBytes, panels_at(next)};
  }

  void multiply() const {
    for (std::int64_t begin = 0; begin < block.weight.columns;) {
      const std::int64_t end = chunk_end(block.weight, begin);
      for (std::int64_t panel = panel_begin; panel < panel_end; panel += panels_at(panel)) {
        multiply_rows(block, widen(panel, begin, end), panel, lines_after(panel, begin, end), sums_of(panel));
      }
      begin = end;
    }
    for (std::int64_t panel = panel_begin; panel < panel_end; panel += panels_at(panel))
      write_sums(block, panel, panels_at(panel), sums_of(panel));
  }
};

inline void multiply_many_rows(const ProductBlock& block, std::int64_t panel_begin, std::int64_t panel_end) {
  alignas(64) float widened[kTilePanels * kBlockColumns * kPanelRows];
  alignas(64) float scales[kMostGroups * kTilePanels * kPanelRows];
  // Memory likes whole panels one after the other; many rows like to meet all panels before their next
  // columns.
  const bool rows_are_cached = block.num_rows * block.weight.columns <= kCachedFloats;
  const std::int64_t width = rows_are_cached ? kTilePanels : panel_end - panel_begin;
  std::vector<float> sums(static_cast<std::size_t>(width * kPanelRows * block.num_rows));
  for (std::int64_t begin = panel_begin; begin < panel_end; begin += width) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    Stripe{block, begin, std::min(panel_end, begin + width), widened, scales, sums.data()}.multiply();
  }
}

/// KernelTable::multiply.
inline void multiply(const ProductBlock& block, std::int64_t panel_begin, std::int64_t panel_end) {
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
