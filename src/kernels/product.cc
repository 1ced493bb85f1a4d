#include "kernels/product.h"

#include <vector>

#include "base/error.h"
#include "kernels/row_tiles.h"

namespace farthing::kernels {
namespace {

// Rows that are packed together: with kBlockColumns columns they fill 280 KiB of the L2 cache. A little more
// than 256, so that such round numbers are one block.
constexpr std::int64_t kBlockRows = 280;

// Waking a thread costs as much as reading this many bytes or doing this many multiply-adds.
constexpr std::int64_t kPieceBytes = 64 << 10;
constexpr std::int64_t kPieceProducts = 1 << 19;

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

// Panels of a piece: enough work for a thread, enough pieces for all threads; four panels are read together
// by a single row.
std::int64_t panels_of_piece(const PanelView& weight, std::int64_t num_rows) {
  const std::int64_t bytes = std::max<std::int64_t>(1, weight.lines * kLineBytes);
  const std::int64_t products = std::max<std::int64_t>(1, num_rows * weight.columns * kPanelRows);
  const std::int64_t least = std::min(kPieceBytes / bytes, kPieceProducts / products) + 1;
  const std::int64_t wanted = std::clamp<std::int64_t>(weight.panels() / 12, 1, 8);
  return round_up(std::max(least, wanted), num_rows == 1 ? 4 : 2);
}

void multiply_block(const KernelTable& table, const RowSource& x, ProductBlock block,
                    std::vector<float>& buffer, ThreadPool& pool) {
  const bool as_is = block.num_rows == 1 && x.order == nullptr && x.column_stride == 1;
  block.packed_rows = x.data;
  if (!as_is) {
    const std::int64_t tiles = RowTiles{block.num_rows, table.tile_rows}.count();
    const std::int64_t grain =
        kPieceBytes / 4 / std::max<std::int64_t>(1, table.tile_rows * block.weight.columns) + 1;
    pool.parallel_for(tiles, grain, [&](std::int64_t begin, std::int64_t end) {
      table.pack_rows(x, block.num_rows, block.weight, begin, end, buffer.data());
    });
    block.packed_rows = buffer.data();
  }
  // Above the diagonal the first rows of y reach the first panels, the last rows only the last.
  const std::int64_t first = block.upper ? std::min(block.weight.panels(), block.diagonal / kPanelRows) : 0;
  pool.parallel_for(
      block.weight.panels() - first, panels_of_piece(block.weight, block.num_rows),
      [&](std::int64_t begin, std::int64_t end) { table.multiply(block, first + begin, first + end); });
}

}  // namespace

void multiply(const KernelTable& table, const RowSource& x, std::int64_t num_rows, const PanelView& weight,
              const ProductTarget& target, ThreadPool& pool) {
  const std::int64_t blocks = (num_rows + kBlockRows - 1) / kBlockRows;
  std::vector<float> buffer(static_cast<std::size_t>(std::min(num_rows, kBlockRows) * weight.columns));
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t begin = num_rows * b / blocks, end = num_rows * (b + 1) / blocks;
    RowSource rows = x;
    rows.data += begin * x.row_stride;
    multiply_block(table, rows,
                   {.num_rows = end - begin,
                    .weight = weight,
                    .y = target.y + begin * target.y_stride,
                    .y_stride = target.y_stride,
                    .overwrite = target.overwrite,
                    .bias = target.bias,
                    .upper = target.upper,
                    .diagonal = begin},
                   buffer, pool);
  }
}

DensePanels pack_panels(const float* data, std::int64_t k_stride, std::int64_t n_stride, std::int64_t rows,
                        std::int64_t columns, float factor, ThreadPool& pool) {
  const std::int64_t panels = (rows + kPanelRows - 1) / kPanelRows;
  DensePanels result{.data = Tensor::empty(DType::kF32, {panels, columns, kPanelRows})};
  float* packed = result.data.mutable_data<float>();
  pool.parallel_for(panels, kPieceBytes / 4 / std::max<std::int64_t>(1, columns * kPanelRows) + 1,
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t panel = begin; panel < end; ++panel) {
                        const std::int64_t width = std::min(kPanelRows, rows - panel * kPanelRows);
                        for (std::int64_t k = 0; k < columns; ++k) {
                          const float* from = data + k * k_stride + panel * kPanelRows * n_stride;
                          float* to = packed + (panel * columns + k) * kPanelRows;
                          for (std::int64_t n = 0; n < width; ++n) to[n] = from[n * n_stride];
                          std::fill(to + width, to + kPanelRows, 0.0f);
                        }
                      }
                    });
  result.view = {.rows = rows,
                 .columns = columns,
                 .lines = columns,
                 .group_size = std::max<std::int64_t>(1, columns),
                 .data = result.data.bytes().data(),
                 .factor = factor};
  return result;
}

}  // namespace farthing::kernels
