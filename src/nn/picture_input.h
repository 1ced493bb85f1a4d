// What image processors make of pictures, cut into the patches that a tower embeds.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "nn/declaration.h"

namespace farthing::nn {

/// The processor's tensors by their transformers names: pixel_values, image_sizes, image_grid_thw, ...
using PictureTensors = std::map<std::string, Tensor>;

/// Patches or features of one view: a picture, or a tile of one.
struct PatchGrid {
  std::int64_t frames = 1, rows = 0, columns = 0;
  std::int64_t blank_frames = 0;  // of these, at the end: tiles that a picture lacks (Mllama)

  std::int64_t count() const { return frames * rows * columns; }
};

/// Rows of all views, one view after the other.
struct PatchRows {
  Tensor rows;  // F32 [sum of counts, C * (t *) p * p], columns in the order of the convolution's weight
  std::vector<PatchGrid> grids;
};

/// Reads the views in the way that the tower declares. Throws kInvalidArgument for tensors that are missing
/// or do not fit it.
PatchRows read_patches(const VisionSpec& spec, const PictureTensors& pictures, ThreadPool& pool);

/// An integer tensor [..., columns] of the processor, as rows; with one column, of any shape.
std::vector<std::vector<std::int64_t>> read_sizes(const PictureTensors& pictures, const std::string& name,
                                                  std::int64_t columns);

}  // namespace farthing::nn
