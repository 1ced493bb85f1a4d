// The table of machines without vector kernels, and what FARTHING_ISA=scalar runs: the formulas of
// kernels/reference on the packed layout.
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/reference/elementwise.h"

namespace farthing::kernels::scalar {
namespace {

void pack_rows(const RowSource& x, std::int64_t, const PanelView& weight, std::int64_t tile_begin,
               std::int64_t tile_end, float* packed_rows) {
  for (std::int64_t row = tile_begin; row < tile_end; ++row) {
    for (std::int64_t k = 0; k < weight.columns; ++k) {
      const std::int64_t column = x.order == nullptr ? k : x.order[k];
      packed_rows[row * weight.columns + k] = x.data[row * x.row_stride + column * x.column_stride];
    }
  }
}

void multiply(const ProductBlock& block, std::int64_t panel_begin, std::int64_t panel_end) {
  const std::int64_t columns = block.weight.columns;
  std::vector<float> weights(static_cast<std::size_t>(columns));
  for (std::int64_t n = panel_begin * kPanelRows; n < std::min(panel_end * kPanelRows, block.weight.rows);
       ++n) {
    for (std::int64_t k = 0; k < columns; ++k)
      weights[static_cast<std::size_t>(k)] = value_at(block.weight, n, k);
    for (std::int64_t row = 0; row < block.num_rows; ++row) {
      if (block.upper && n < block.diagonal + row) break;
      float& y = block.y[row * block.y_stride + n];
      double sum = !block.overwrite ? y : block.bias == nullptr ? 0.0 : block.bias[n];
      for (std::int64_t k = 0; k < columns; ++k) {
        sum +=
            static_cast<double>(block.packed_rows[row * columns + k]) * weights[static_cast<std::size_t>(k)];
      }
      y = static_cast<float>(sum);
    }
  }
}

}  // namespace

extern const KernelTable kTable;
const KernelTable kTable{
    .isa = Isa::kScalar,
    .tile_rows = 1,
    .pack_rows = pack_rows,
    .multiply = multiply,
    .rms_norm = reference::rms_norm,
    .layer_norm = reference::layer_norm,
    .activate = reference::activate,
    .gated_activate = reference::gated_activate,
    .add = reference::add,
    .rotate = reference::rotate,
    .log_sum_exp = reference::log_sum_exp,
    .pack_key_block = nullptr,
    .attend_packed = nullptr,
    .attend_keys = nullptr,
};

}  // namespace farthing::kernels::scalar
