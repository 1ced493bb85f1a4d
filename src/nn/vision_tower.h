// A tower of encoder blocks over picture patches.
#pragma once

#include <memory>
#include <vector>

#include "nn/block.h"
#include "nn/norm.h"
#include "nn/picture_input.h"

namespace farthing::nn {

/// Rows for every patch of every view (and its class token, where that is kept), view after view.
struct PictureFeatures {
  Tensor rows;  // F32 [features, width]
  std::vector<PatchGrid> grids;
};

class VisionTower {
 public:
  virtual ~VisionTower() = default;

  /// Features of all views. Throws kInvalidArgument for tensors that do not fit the tower.
  virtual PictureFeatures forward(const PictureTensors& pictures, ThreadPool& pool) = 0;

  virtual std::size_t num_bytes() const = 0;
};

/// Loads the tower that is declared, as far as its features need it: blocks after the last feature layer are
/// left alone.
std::unique_ptr<VisionTower> load_vision_tower(const VisionSpec& spec, const WeightSource& source);

/// Loads the convolution over patches as a linear [H, C * (t *) p * p].
Linear load_patch_embedding(const VisionSpec& spec, const WeightSource& source);

}  // namespace farthing::nn
