// Scales and zero points: from the range of some values to the two numbers that map them onto a grid.
#pragma once

#include "scheme/grid.h"
#include "scheme/quantization_args.h"

namespace farthing::scheme {

/// What the cells of a weight are quantized with. `scales` and `zero_points` are as in QuantizedMatrix.
struct QuantizationParameters {
  Tensor scales;
  Tensor zero_points;
  float global_scale = 0;
};

struct ScaleZero {
  float scale = 0;
  float zero_point = 0;  // a whole number; 0 when symmetric
};

/// Returns scale and zero point for values in [lowest, highest], each operation rounded to kArithmetic as the
/// frameworks do in the dtype of the observed tensor. The range is widened to include 0. Symmetric: the
/// larger end over half the number of steps (int4: amax / 7.5); asymmetric: the width over the number of
/// steps. A scale may come out 0: see store_scale.
template <DType kArithmetic>
ScaleZero scale_from_range(float lowest, float highest, const QuantizationArgs& args);

/// Rounds the exponent of amax so that the grid's largest power of two reaches it: OCP MX, with amax rounded
/// up from 1.75 times a power of two on. Returns 2^e.
float mx_scale(float amax, const QuantizationArgs& args);

/// The element type in which the scales of a weight are kept.
DType scale_dtype_of(const QuantizationArgs& args, DType model_dtype);

/// Rounds a scale to the type in which it is kept. A scale of 0, which nothing can be divided by, becomes the
/// type's smallest step around 1 (F8_E4M3: 0.125), as compressed-tensors has it.
float round_scale(float scale, DType dtype);

/// Writes element `index` of `scales` rounded by round_scale to its type, and returns what was written.
float store_scale(Tensor& scales, std::int64_t index, float scale);

/// Returns the per-tensor factor of NVFP4, 448 * 6 / amax, evaluated in `arithmetic` as 2688 * (1 / amax); 1
/// where that is not a number to divide by.
float global_scale_from_amax(float amax, DType arithmetic);

/// Finds the scales of a weight whose cells (row-major) have these ranges; the other steps of
/// scale_from_range included. `arithmetic` is the dtype of the observed tensor.
QuantizationParameters parameters_from_ranges(std::span<const float> lowest, std::span<const float> highest,
                                              const CellGrid& grid, const QuantizationArgs& args,
                                              DType arithmetic, DType model_dtype, float global_scale);

template <DType kArithmetic>
ScaleZero scale_from_range(float lowest, float highest, const QuantizationArgs& args) {
  constexpr auto round = round_to<kArithmetic>;
  const float low = std::min(lowest, 0.0f), high = std::max(highest, 0.0f);
  const float amax = std::max(-low, high);
  if (args.scale_dtype == DType::kU8) return {.scale = mx_scale(amax, args)};
  return with_grid(args, [&](const auto& numbers) -> ScaleZero {
    const float steps = numbers.highest - numbers.lowest;
    if (args.symmetric) return {.scale = round(amax / (steps / 2))};
    const float scale = round(round(high - low) / steps);
    if (scale == 0.0f) return {};
    const float zero = round(numbers.lowest - round(low / scale));
    return {.scale = scale, .zero_point = numbers.snap(zero)};
  });
}

}  // namespace farthing::scheme
