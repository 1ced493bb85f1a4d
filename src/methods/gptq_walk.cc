#include "methods/gptq_walk.h"

#include <algorithm>

#include "kernels/linalg.h"
#include "scheme/grid.h"

namespace farthing::methods {
namespace {

constexpr std::int64_t kLanes = 16;  // rows walked side by side: one vector register, or a few
constexpr std::int64_t kQuads = kLanes / 4;
constexpr std::int64_t kPanel = 8;  // columns whose errors are taken out of the rest of the block together

// Four lanes, the registers that every machine has. Written out because the compiler, left alone, vectorises
// the wrong loop.
using Quad = float __attribute__((vector_size(16), aligned(4), may_alias));

// A block of columns of kLanes rows, transposed: a column's rows lie next to each other.
struct Tile {
  explicit Tile(std::int64_t columns)
      : values(static_cast<std::size_t>(columns * kLanes)), errors(values.size()) {}

  std::vector<float> values, errors;
};

void load(const float* weight, std::int64_t stride, std::int64_t rows, std::int64_t width,
          std::vector<float>& values) {
  std::fill(values.begin(), values.end(), 0.0f);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < width; ++i) values[i * kLanes + row] = weight[row * stride + i];
  }
}

// Rounds one column of the tile: codes out, errors / U_ii into `errors`; returns the sum of squared errors /
// U_ii.
template <DType kValue, typename Grid>
float round_column(const float* values, const float* scales, const float* zero_points, float diagonal,
                   const Grid& grid, typename Grid::Code* codes, float* errors) {
  float loss = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    const float code = grid.snap(values[lane] / scales[lane] + zero_points[lane]);
    const float value = scheme::round_to<kValue>((code - zero_points[lane]) * scales[lane]);
    codes[lane] = Grid::encode(code);
    errors[lane] = (values[lane] - value) / diagonal;
  }
  for (std::int64_t lane = 0; lane < kLanes; ++lane) loss += errors[lane] * errors[lane];
  return loss;
}

// Takes columns [first, last) of `amounts`, each times its row of `matrix`, out of columns [begin, end) of
// the tile, one after another. A column stays in registers meanwhile.
void compensate(const float* matrix, std::int64_t stride, std::int64_t first, std::int64_t last,
                std::int64_t begin, std::int64_t end, const float* amounts, float* values) {
  const Quad* amount = reinterpret_cast<const Quad*>(amounts);
  for (std::int64_t j = begin; j < end; ++j) {
    Quad* value = reinterpret_cast<Quad*>(values) + j * kQuads;
    Quad column[kQuads];
    std::copy_n(value, kQuads, column);
    for (std::int64_t i = first; i < last; ++i) {
      const float factor = matrix[i * stride + j];
#pragma GCC unroll 8
      for (std::int64_t quad = 0; quad < kQuads; ++quad) column[quad] -= amount[i * kQuads + quad] * factor;
    }
    std::copy_n(column, kQuads, value);
  }
}

template <DType kValue, typename Grid>
class Walker {
 public:
  using Code = typename Grid::Code;

  Walker(const GptqWalk& walk, const Grid& grid, std::int64_t rows, Code* codes)
      : walk_(walk),
        grid_(grid),
        rows_(rows),
        codes_(codes),
        tile_(walk.block_size),
        block_errors_(static_cast<std::size_t>(rows * walk.block_size)),
        block_values_(walk.shift_step != nullptr ? block_errors_.size() : 0) {}

  double run(float* weight, GroupTable& table, const RefreshGroup& refresh, ThreadPool& pool) {
    double loss = 0;
    for (std::int64_t begin = 0; begin < walk_.columns; begin += walk_.block_size) {
      const std::int64_t end = std::min(begin + walk_.block_size, walk_.columns);
      if (refresh) refresh_groups(weight, begin, end, refresh, table);
      for (std::int64_t row = 0; row < rows_; row += kLanes) loss += block(weight, row, begin, end, table);
      compensate_the_rest(block_errors_, walk_.upper, begin, end, weight, pool);
      if (walk_.shift_step != nullptr)
        compensate_the_rest(block_values_, walk_.shift_step, begin, end, weight, pool);
    }
    return loss;
  }

 private:
  void compensate_the_rest(const std::vector<float>& amounts, const float* matrix, std::int64_t begin,
                           std::int64_t end, float* weight, ThreadPool& pool) const {
    kernels::subtract_product(amounts.data(), end - begin, matrix + begin * walk_.columns + end,
                              walk_.columns, rows_, walk_.columns - end, end - begin, weight + end,
                              walk_.columns, pool);
  }

  // As in the paper's program, a group that starts inside the block sees the weight without this block's
  // updates.
  void refresh_groups(const float* weight, std::int64_t begin, std::int64_t end, const RefreshGroup& refresh,
                      GroupTable& table) {
    for (std::int64_t column = begin; column < end; ++column) {
      if (column == 0 || walk_.group_of[column] != walk_.group_of[column - 1]) refresh(weight, column, table);
    }
  }

  // Columns [begin, end) of kLanes rows from `first_row` on.
  double block(const float* weight, std::int64_t first_row, std::int64_t begin, std::int64_t end,
               const GroupTable& table) {
    const std::int64_t width = end - begin, rows = std::min(kLanes, rows_ - first_row);
    const std::int64_t corner = begin * walk_.columns + begin;
    const float* upper = walk_.upper + corner;
    const float* shift_step = walk_.shift_step != nullptr ? walk_.shift_step + corner : nullptr;
    float* values = tile_.values.data();
    float* errors = tile_.errors.data();
    load(weight + first_row * walk_.columns + begin, walk_.columns, rows, width, tile_.values);
    double loss = 0;
    for (std::int64_t first = 0; first < width; first += kPanel) {
      const std::int64_t last = std::min(first + kPanel, width);
      for (std::int64_t i = first; i < last; ++i) {
        loss += column(i, first_row, rows, begin, upper[i * walk_.columns + i], table);
        compensate(upper, walk_.columns, i, i + 1, i + 1, last, errors, values);
        // A column that has been walked stays as it was then: it is its own amount.
        if (shift_step != nullptr)
          compensate(shift_step, walk_.columns, i, i + 1, i + 1, last, values, values);
      }
      compensate(upper, walk_.columns, first, last, last, width, errors, values);
      if (shift_step != nullptr)
        compensate(shift_step, walk_.columns, first, last, last, width, values, values);
    }
    store(tile_.errors, first_row, rows, width, block_errors_);
    if (shift_step != nullptr) store(tile_.values, first_row, rows, width, block_values_);
    return loss / 2;
  }

  static void store(const std::vector<float>& tile, std::int64_t first_row, std::int64_t rows,
                    std::int64_t width, std::vector<float>& block) {
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t i = 0; i < width; ++i) block[(first_row + row) * width + i] = tile[i * kLanes + row];
    }
  }

  // Rounds column `i` of the tile that starts at walking column `begin`.
  float column(std::int64_t i, std::int64_t first_row, std::int64_t rows, std::int64_t begin, float diagonal,
               const GroupTable& table) {
    float scales[kLanes], zero_points[kLanes];
    Code codes[kLanes];
    const std::int64_t first = walk_.group_of[begin + i] * rows_ + first_row;
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      scales[lane] = lane < rows ? table.scales[first + lane] : 1.0f;
      zero_points[lane] = lane < rows ? table.zero_points[first + lane] : 0.0f;
    }
    const float loss = round_column<kValue>(tile_.values.data() + i * kLanes, scales, zero_points, diagonal,
                                            grid_, codes, tile_.errors.data() + i * kLanes);
    Code* out = codes_ + first_row * walk_.columns + walk_.order[begin + i];
    for (std::int64_t lane = 0; lane < rows; ++lane) out[lane * walk_.columns] = codes[lane];
    return loss;
  }

  const GptqWalk& walk_;
  const Grid& grid_;
  std::int64_t rows_;
  Code* codes_;
  Tile tile_;
  std::vector<float> block_errors_, block_values_;  // [rows, width of the block]; values for GPTAQ only
};

}  // namespace

double walk_columns(const GptqWalk& walk, float* weight, std::int64_t rows, GroupTable& table,
                    const RefreshGroup& refresh, void* codes, ThreadPool& pool) {
  return scheme::with_arithmetic(walk.value_dtype, [&]<DType kValue>() {
    return scheme::with_grid(walk.args, [&](const auto& grid) {
      using Grid = std::decay_t<decltype(grid)>;
      return Walker<kValue, Grid>(walk, grid, rows, static_cast<typename Grid::Code*>(codes))
          .run(weight, table, refresh, pool);
    });
  });
}

}  // namespace farthing::methods
