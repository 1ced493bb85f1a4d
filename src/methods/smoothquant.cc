#include "methods/smoothquant.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "scheme/grid.h"

namespace farthing::methods {
namespace {

constexpr float kSmallestSmoothing = 1e-5f;

// max |w| of every column.
std::vector<float> largest_weights(std::span<const Tensor> weights, std::size_t channels, ThreadPool& pool) {
  std::vector<float> largest(channels, 0.0f);
  for (const Tensor& weight : weights) {
    const std::int64_t rows = weight.dim(0), columns = weight.dim(1);
    FARTHING_CHECK(columns == static_cast<std::int64_t>(channels), "{} for {} channels",
                   to_string(weight.shape()), channels);
    pool.parallel_for(columns, 64, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> part(static_cast<std::size_t>(end - begin));
      for (std::int64_t row = 0; row < rows; ++row) {
        copy_as_float32(weight, row * columns + begin, end - begin, part.data());
        for (std::int64_t i = begin; i < end; ++i)
          largest[static_cast<std::size_t>(i)] = std::max(
              largest[static_cast<std::size_t>(i)], std::abs(part[static_cast<std::size_t>(i - begin)]));
      }
    });
  }
  return largest;
}

template <DType kArithmetic>
float scale_of(float range, float weight, const SmoothQuantOptions& options) {
  constexpr auto round = scheme::round_to<kArithmetic>;
  if (range <= 0.0f) return 1.0f;
  if (options.log_equalization) return round(range / round(std::log2(round(2.0f + range))));
  if (weight <= 0.0f) return std::max(range, kSmallestSmoothing);
  const auto strength = static_cast<float>(options.strength);
  const float activation = round(std::pow(range, round(strength)));
  const float divisor = round(std::pow(2.0f * weight, round(static_cast<float>(1.0 - options.strength))));
  return std::max(round(activation / divisor), kSmallestSmoothing);
}

}  // namespace

std::vector<float> smoothing_scales(std::span<const float> lowest, std::span<const float> highest,
                                    std::span<const Tensor> weights, const SmoothQuantOptions& options,
                                    DType arithmetic, ThreadPool& pool) {
  const std::vector<float> largest = largest_weights(weights, lowest.size(), pool);
  std::vector<float> scales(lowest.size());
  scheme::with_arithmetic(arithmetic, [&]<DType kArithmetic>() {
    constexpr auto round = scheme::round_to<kArithmetic>;
    for (std::size_t i = 0; i < scales.size(); ++i) {
      const float range = round(round(highest[i]) - round(lowest[i]));
      scales[i] = scale_of<kArithmetic>(range, largest[i], options);
    }
  });
  return scales;
}

}  // namespace farthing::methods
