// The table that connects the ops with their variants: one row of function pointers for every instruction
// set. The public functions check arguments and cut the work into pieces whose borders depend on shapes only;
// a piece goes through the table.
#pragma once

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/packed_layout.h"

namespace farthing::kernels {

/// The rows of the left operand of a product: element (r, k) is data[r * row_stride + order[k] *
/// column_stride].
struct RowSource {
  const float* data = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 1;
  const std::int32_t* order = nullptr;  // null: columns as they come
};

/// y += x w^T for a block of rows, which `pack_rows` has arranged. Rows of y are `y_stride` apart.
struct ProductBlock {
  const float* packed_rows = nullptr;
  std::int64_t num_rows = 0;
  PanelView weight;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  bool overwrite = false;       // y = bias + x w^T instead
  const float* bias = nullptr;  // [weight.rows] or null; with `overwrite` only
  bool upper = false;           // only the elements of y with column >= diagonal + row
  std::int64_t diagonal = 0;
};

struct KernelTable {
  Isa isa;

  /// Rows are packed in tiles of nearly equal size, of at most tile_rows.
  std::int64_t tile_rows;
  /// Packs tiles [tile_begin, tile_end) of `num_rows` rows into `packed_rows` [num_rows * weight.columns].
  void (*pack_rows)(const RowSource& x, std::int64_t num_rows, const PanelView& weight,
                    std::int64_t tile_begin, std::int64_t tile_end, float* packed_rows);
  /// Computes the outputs of panels [panel_begin, panel_end).
  void (*multiply)(const ProductBlock& block, std::int64_t panel_begin, std::int64_t panel_end);
};

/// Returns the row of `isa`, which must be one of runnable_isas().
const KernelTable& kernel_table(Isa isa);

}  // namespace farthing::kernels
