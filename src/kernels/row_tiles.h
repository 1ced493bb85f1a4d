// How the rows of a product are shared out to register tiles.
#pragma once

#include <algorithm>
#include <cstdint>

namespace farthing::kernels {

/// `num_rows` rows in as few tiles of at most `tile_rows` as possible, of nearly equal size.
struct RowTiles {
  std::int64_t num_rows;
  std::int64_t tile_rows;

  std::int64_t count() const { return (num_rows + tile_rows - 1) / tile_rows; }
  std::int64_t begin(std::int64_t tile) const {
    return tile * (num_rows / count()) + std::min(tile, num_rows % count());
  }
};

}  // namespace farthing::kernels
