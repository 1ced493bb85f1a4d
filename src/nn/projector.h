// From picture features to embeddings of the decoder: linears with an activation between them.
#pragma once

#include <vector>

#include "nn/linear.h"

namespace farthing::nn {

class Projector {
 public:
  Projector(const ProjectorSpec& spec, const WeightSource& source);

  /// [rows, H] of the decoder from features [rows, width].
  Tensor forward(const Tensor& features, ThreadPool& pool) const;

  std::size_t num_bytes() const;

 private:
  std::vector<Linear> linears_;
  Activation activation_;
};

}  // namespace farthing::nn
