// How pack_weight arranges a weight, the same for every instruction set: panels of 16 rows of the weight (16
// outputs), and inside a panel lines of 64 bytes that hold the next few columns of those rows.
//
//   line of F32     1 column:  16 floats
//   line of F16     2 columns: 16 halves of the first, 16 of the second
//   line of BF16    2 columns: 16 words of 32 bits; column i of the line is in bits 16 i and up
//   line of codes8  4 columns: the same with bytes;   codes4  8 columns: the same with nibbles
//   line of table4  8 columns: nibbles that are places in a table of 16 values
//
// A word holds columns of one output, so one shift or mask of a vector of words gives one column of 16
// outputs. Codes are unsigned: the lowest signed code is 0. Scales and zero points are [panels, groups, 16].
// What lies beyond the last row or column is zero.
#pragma once

#include "kernels/linear.h"

namespace farthing::kernels {

inline constexpr std::int64_t kPanelRows = 16;
inline constexpr std::int64_t kLineBytes = 64;

/// Sums restart after so many columns (or less, where a group ends): an output is sum_b scale_b * (chain of
/// fused multiply-adds over block b), in this order on every instruction set and for every number of rows.
/// Short chains round less, and 256 columns of 32 outputs fit the L1 cache.
inline constexpr std::int64_t kBlockColumns = 256;

enum class LineFormat { kF32, kBF16, kF16, kCodes8, kCodes4, kTable4 };

constexpr std::int64_t columns_per_line(LineFormat format) {
  constexpr std::int64_t kColumns[] = {1, 2, 2, 4, 8, 8};
  return kColumns[static_cast<int>(format)];
}

/// A packed weight as kernels read it.
struct PanelView {
  LineFormat format = LineFormat::kF32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t lines = 0;       // of a panel
  std::int64_t group_size = 0;  // columns that share a scale; `columns` for dense weights
  std::int64_t groups = 1;
  const std::byte* data = nullptr;           // [panels, lines, 64]
  const std::byte* scales = nullptr;         // [panels, groups, 16], or null: all are `factor`
  DType scale_type = DType::kF32;            // kF32, kBF16 or kF16
  const std::int8_t* zero_points = nullptr;  // [panels, groups, 16], or null: all are 0
  const float* table = nullptr;              // [16], of kTable4
  float factor = 1.0f;

  std::int64_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  const std::byte* panel(std::int64_t index) const { return data + index * lines * kLineBytes; }
};

/// Returns how kernels see `weight`, which must outlive the view.
PanelView view(const PackedWeight& weight);

/// Returns what `linear` multiplies by at (row, column): (code - zero point) * scale.
float value_at(const PanelView& weight, std::int64_t row, std::int64_t column);

/// Where the block ends that starts at `begin`: with its group, or after kBlockColumns.
inline std::int64_t block_end(const PanelView& weight, std::int64_t begin) {
  const std::int64_t group_begin = begin - begin % weight.group_size;
  return std::min({weight.columns, group_begin + weight.group_size, begin + kBlockColumns});
}

/// A kernel visits a panel in chunks: one block, or as many small groups as kBlockColumns and kMostGroups
/// allow.
inline constexpr std::int64_t kMostGroups = 16;
inline std::int64_t chunk_end(const PanelView& weight, std::int64_t begin) {
  const std::int64_t groups = std::clamp<std::int64_t>(kBlockColumns / weight.group_size, 1, kMostGroups);
  return groups == 1 ? block_end(weight, begin)
                     : std::min(weight.columns, begin + groups * weight.group_size);
}

}  // namespace farthing::kernels
