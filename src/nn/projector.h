// From picture features to embeddings of the decoder.
#pragma once

#include <vector>

#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/vision_tower.h"

namespace farthing::nn {

class Projector {
 public:
  Projector(const ProjectorSpec& spec, const WeightSource& source);

  /// Rows [features, H] of the decoder; merging makes the grids smaller.
  PictureFeatures forward(PictureFeatures features, ThreadPool& pool) const;

  std::size_t num_bytes() const;

 private:
  ProjectorSpec spec_;
  Norm norm_, merged_norm_;
  Linear merged_linear_;
  std::vector<Linear> linears_;
};

/// Makes one row of every square of `size` by `size` neighbours. Throws kInvalidArgument when a grid does not
/// divide into squares.
PictureFeatures merge_patches(PatchMerge merge, std::int64_t size, const PictureFeatures& features,
                              ThreadPool& pool);

}  // namespace farthing::nn
