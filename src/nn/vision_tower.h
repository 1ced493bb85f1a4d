// A tower of encoder blocks over picture patches (CLIP, SigLIP).
#pragma once

#include <memory>
#include <vector>

#include "nn/block.h"
#include "nn/norm.h"

namespace farthing::nn {

class VisionTower {
 public:
  /// Loads the tower as far as its features need it: blocks after the last feature layer are left alone.
  VisionTower(const VisionSpec& spec, const WeightSource& source);

  /// `pixels` F32 [pictures, channels, image_size, image_size] to features [pictures * tokens, width], where
  /// width is hidden_size times the number of feature layers. Throws kInvalidArgument for pictures of another
  /// size.
  Tensor forward(const Tensor& pixels, ThreadPool& pool);

  std::int64_t tokens_per_picture() const;
  std::size_t num_bytes() const;

 private:
  Tensor embed(const Tensor& pixels, ThreadPool& pool) const;
  void keep_features(const float* hidden, std::size_t which, std::int64_t pictures, Tensor& features) const;

  VisionSpec spec_;
  std::vector<std::int64_t> feature_layers_;  // non-negative
  Linear patch_embedding_;
  Tensor class_embedding_;     // F32 [H]
  Tensor position_embedding_;  // F32 [class token and patches, H]
  Norm pre_norm_, post_norm_;
  std::vector<Block> blocks_;
};

}  // namespace farthing::nn
