// A scale moved from the outputs of one layer into the inputs of those that read them: the model computes the
// same, and its weights are easier to quantize. SmoothQuant and AWQ differ in the scale they choose.
#pragma once

#include <span>

#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace farthing::methods {

/// Returns the smoothed layer's tensor: a weight [rows, columns], or a bias or norm weight [rows], of which
/// the last scale.size() rows are divided by `scale`. `offset` is what a norm adds to its weight w, which
/// becomes (w + offset) / scale - offset. Rounded to the tensor's own type (F32, BF16 or F16).
Tensor divide_outputs(const Tensor& tensor, std::span<const float> scale, float offset = 0);

/// Returns a weight [rows, columns] that reads the smoothed layer, its columns multiplied by `scale`
/// [columns]. Rounded to the weight's own type.
Tensor multiply_inputs(const Tensor& weight, std::span<const float> scale, ThreadPool& pool);

}  // namespace farthing::methods
