// Activations on a grid: what a runtime with quantized inputs, outputs or caches computes with, simulated as
// compressed-tensors does (quantized and multiplied out again in fp32).
#pragma once

#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "scheme/quantization_args.h"

namespace farthing::scheme {

/// What is quantized while a model runs: the input or output of a linear, the keys or values of an attention.
enum class ActivationSite : std::uint8_t { kInput, kOutput, kKeys, kValues };

/// How rows of activations are quantized, with the numbers that calibration found before.
struct ActivationQuantization {
  QuantizationArgs args;
  /// Static: one scale, or one per attention head; every scale is for equally many columns. Empty when scales
  /// are found at run time.
  std::vector<float> scales;
  std::vector<float> zero_points;  // as many as scales; empty when symmetric
  float global_scale = 0;          // tensor_group (NVFP4): 448 * 6 / amax of the calibrated inputs; else 0

  /// False when the numbers that are needed are missing or were never observed (0): then nothing is
  /// quantized.
  bool is_usable() const;
};

/// Writes to `y` what quantization leaves of `x`: `rows` rows of `columns`, at these distances in floats; `y`
/// may be `x`. Dynamic scales are those of a row (token), of a group in it, or of the whole call (tensor).
void fake_quantize(const ActivationQuantization& quantization, const float* x, std::int64_t x_stride,
                   std::int64_t rows, std::int64_t columns, float* y, std::int64_t y_stride,
                   ThreadPool& pool);

/// Finds the numbers of a static quantization from the range that calibration saw, in the arithmetic of the
/// model: scale and zero point, or the global scale of tensor_group. `lowest` and `highest` have one element
/// per scale. Scales are rounded to `model_dtype`, in which files hold them.
ActivationQuantization calibrated(const QuantizationArgs& args, std::span<const float> lowest,
                                  std::span<const float> highest, DType model_dtype);

}  // namespace farthing::scheme
