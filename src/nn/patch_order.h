// The order of patches inside a tower: where each stands in its picture, and which ones share a window.
#pragma once

#include <vector>

#include "nn/batch.h"
#include "nn/declaration.h"
#include "nn/picture_input.h"

namespace farthing::nn {

/// The rows of a pass through a tower.
struct TowerRows {
  std::vector<std::int64_t> order;  // row i of the pass is row order[i] of the embedded patches
  Batch views;                      // whole frames of whole views see each other
  Batch windows;                    // the same rows, by windows; empty without windows
};

/// Where a patch stands in its picture.
struct PatchPlace {
  std::int64_t row, column;
};

/// Places of one frame's patches in the order in which they come: square after square, row by row inside;
/// with squares of one patch that is raster order.
std::vector<PatchPlace> place_patches(const VisionSpec& spec, const PatchGrid& grid);

/// Batches with positions (row, column) for the patches, and the order that makes windows contiguous.
TowerRows tower_rows(const VisionSpec& spec, const std::vector<PatchGrid>& grids);

}  // namespace farthing::nn
