// SmoothQuant (Xiao et al. 2022): outliers of activations are moved into the weights, which are easier to
// quantize. Here is the choice of the scale; folding.h moves it.
#pragma once

#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace farthing::methods {

struct SmoothQuantOptions {
  double strength = 0.5;          // 0 leaves the outliers to the activations, 1 moves all to the weights
  bool log_equalization = false;  // a / log2(2 + a) instead, whatever the weights are
};

/// Returns the scale of every channel that linears with these weights [rows, channels] read, from the ranges
/// of the channels in calibration: (highest - lowest)^strength / (2 max|w|)^(1 - strength), at least 1e-5; 1
/// for a channel that never varied. Every step, exponents included, is rounded to `arithmetic`, the type of
/// the model, as llm-compressor computes it.
std::vector<float> smoothing_scales(std::span<const float> lowest, std::span<const float> highest,
                                    std::span<const Tensor> weights, const SmoothQuantOptions& options,
                                    DType arithmetic, ThreadPool& pool);

}  // namespace farthing::methods
