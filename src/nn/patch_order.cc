#include "nn/patch_order.h"

#include <algorithm>
#include <numeric>

namespace farthing::nn {
namespace {

// The squares of a frame, window after window in raster order, and how many patches each window has.
std::vector<std::int64_t> by_windows(const PatchGrid& grid, const VisionSpec& spec, Batch& windows) {
  const std::int64_t rows = grid.rows / spec.patch_block, columns = grid.columns / spec.patch_block;
  std::vector<std::int64_t> squares;
  for (std::int64_t top = 0; top < rows; top += spec.window)
    for (std::int64_t left = 0; left < columns; left += spec.window) {
      const std::int64_t bottom = std::min(top + spec.window, rows),
                         right = std::min(left + spec.window, columns);
      for (std::int64_t y = top; y < bottom; ++y)
        for (std::int64_t x = left; x < right; ++x) squares.push_back(y * columns + x);
      windows.lengths.push_back((bottom - top) * (right - left) * spec.patch_block * spec.patch_block);
    }
  return squares;
}

}  // namespace

std::vector<PatchPlace> place_patches(const VisionSpec& spec, const PatchGrid& grid) {
  const std::int64_t block = spec.patch_block;
  std::vector<PatchPlace> result;
  for (std::int64_t top = 0; top < grid.rows; top += block)
    for (std::int64_t left = 0; left < grid.columns; left += block)
      for (std::int64_t i = 0; i < block * block; ++i) result.push_back({top + i / block, left + i % block});
  return result;
}

TowerRows tower_rows(const VisionSpec& spec, const std::vector<PatchGrid>& grids) {
  const std::int64_t class_rows = spec.class_embedding.empty() ? 0 : 1;
  const std::int64_t square = spec.patch_block * spec.patch_block;
  TowerRows result;
  result.views.axes = result.windows.axes = 2;
  for (const PatchGrid& grid : grids) {
    const std::vector<PatchPlace> place = place_patches(spec, grid);
    const auto count = static_cast<std::int64_t>(place.size());
    for (std::int64_t frame = 0; frame < grid.frames; ++frame) {
      const auto first = static_cast<std::int64_t>(result.order.size());
      result.views.lengths.push_back(class_rows + count);
      const std::int64_t first_patch = first + (spec.class_token_last ? 0 : class_rows);
      const auto add_class_token = [&](std::int64_t place) {
        result.order.push_back(place);
        result.views.positions.insert(result.views.positions.end(), {0, 0});
      };
      if (class_rows == 1 && !spec.class_token_last) add_class_token(first);
      std::vector<std::int64_t> squares(static_cast<std::size_t>(count / square));
      std::iota(squares.begin(), squares.end(), std::int64_t{0});
      if (spec.window > 0) squares = by_windows(grid, spec, result.windows);
      for (const std::int64_t at : squares)
        for (std::int64_t i = at * square; i < (at + 1) * square; ++i) {
          const PatchPlace& where = place[static_cast<std::size_t>(i)];
          const std::int64_t row = spec.first_row + where.row, column = spec.first_row + where.column;
          result.order.push_back(first_patch + i);
          result.views.positions.push_back(spec.column_first ? column : row);
          result.views.positions.push_back(spec.column_first ? row : column);
        }
      if (class_rows == 1 && spec.class_token_last) add_class_token(first + count);
    }
  }
  result.windows.positions = result.views.positions;
  return result;
}

}  // namespace farthing::nn
