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
  /// Loads the tower as far as its features need it: blocks after the last feature layer are left alone.
  VisionTower(const VisionSpec& spec, const WeightSource& source);

  /// Features of all views; their width is hidden_size times the number of feature layers. Throws
  /// kInvalidArgument for tensors that do not fit the tower.
  PictureFeatures forward(const PictureTensors& pictures, ThreadPool& pool);

  std::size_t num_bytes() const;

 private:
  Tensor embed(const PatchRows& patches, ThreadPool& pool) const;

  VisionSpec spec_;
  std::vector<std::int64_t> feature_layers_;  // non-negative
  Linear patch_embedding_;
  Tensor class_embedding_;     // F32 [H]
  Tensor position_embedding_;  // F32 [class token and patches, H]
  Norm pre_norm_, post_norm_;
  std::vector<Block> blocks_;
};

}  // namespace farthing::nn
