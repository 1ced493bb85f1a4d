#include "scheme/activation.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "scheme/parameters.h"

namespace farthing::scheme {
namespace {

constexpr std::int64_t kTokensPerPiece = 8;

struct Range {
  float lowest = 0, highest = 0;  // 0 is always inside

  void include(const float* values, std::int64_t count) {
    float low = lowest, high = highest;
    for (std::int64_t i = 0; i < count; ++i) {
      low = std::min(low, values[i]);
      high = std::max(high, values[i]);
    }
    lowest = low;
    highest = high;
  }
};

// The numbers for one set of values, found at run time in fp32. A range of 0 has a scale that is not 0 too.
ScaleZero dynamic_scale(const ActivationQuantization& quantization, const Range& range) {
  const QuantizationArgs& args = quantization.args;
  ScaleZero found = scale_from_range<DType::kF32>(range.lowest, range.highest, args);
  if (quantization.global_scale != 0.0f) found.scale *= quantization.global_scale;
  found.scale = round_scale(found.scale, scale_dtype_of(args, DType::kF32));
  if (quantization.global_scale != 0.0f) found.scale /= quantization.global_scale;
  return found;
}

template <typename Grid>
void snap_values(const float* x, std::int64_t count, ScaleZero cell, const Grid& grid, float* y) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float snapped =
        snap_scaled<DType::kF32, false>(x[i], cell.scale, cell.zero_point, grid) - cell.zero_point;
    y[i] = snapped * cell.scale;
  }
}

// Columns that share a scale within a row.
std::int64_t cell_width(const ActivationQuantization& quantization, std::int64_t columns) {
  const std::int64_t whole = std::max<std::int64_t>(columns, 1);
  if (!quantization.scales.empty()) {
    const auto count = static_cast<std::int64_t>(quantization.scales.size());
    FARTHING_CHECK(columns % count == 0, "{} scales for {} columns", count, columns);
    return whole / count;
  }
  return std::min(quantization.args.group_size.value_or(whole), whole);
}

ScaleZero static_scale(const ActivationQuantization& quantization, std::int64_t cell) {
  const auto i = static_cast<std::size_t>(cell);
  return {quantization.scales[i], quantization.zero_points.empty() ? 0.0f : quantization.zero_points[i]};
}

}  // namespace

bool ActivationQuantization::is_usable() const {
  if (args.dynamic == Dynamic::kDynamic) return true;
  if (args.dynamic == Dynamic::kLocal) return global_scale > 0.0f && std::isfinite(global_scale);
  return !scales.empty() && std::all_of(scales.begin(), scales.end(),
                                        [](float scale) { return scale > 0.0f && std::isfinite(scale); });
}

void fake_quantize(const ActivationQuantization& quantization, const float* x, std::int64_t x_stride,
                   std::int64_t rows, std::int64_t columns, float* y, std::int64_t y_stride,
                   ThreadPool& pool) {
  const QuantizationArgs& args = quantization.args;
  const std::int64_t width = cell_width(quantization, columns);
  const bool is_static = !quantization.scales.empty();
  const bool is_shared = !is_static && args.strategy == Strategy::kTensor;
  ScaleZero shared;
  if (is_shared) {
    Range range;
    for (std::int64_t row = 0; row < rows; ++row) range.include(x + row * x_stride, columns);
    shared = dynamic_scale(quantization, range);
  }
  const auto scale_of = [&](const float* values, std::int64_t count, std::int64_t cell) {
    if (is_static) return static_scale(quantization, cell);
    if (is_shared) return shared;
    Range range;
    range.include(values, count);
    return dynamic_scale(quantization, range);
  };
  with_grid(args, [&](const auto& grid) {
    pool.parallel_for(rows, kTokensPerPiece, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        for (std::int64_t first = 0; first < columns; first += width) {
          const std::int64_t count = std::min(width, columns - first);
          const float* values = x + row * x_stride + first;
          snap_values(values, count, scale_of(values, count, first / width), grid,
                      y + row * y_stride + first);
        }
      }
    });
  });
}

ActivationQuantization calibrated(const QuantizationArgs& args, std::span<const float> lowest,
                                  std::span<const float> highest, DType model_dtype) {
  ActivationQuantization result{.args = args};
  if (args.strategy == Strategy::kTensorGroup) {
    FARTHING_CHECK(lowest.size() == 1 && highest.size() == 1, "{} ranges", lowest.size());
    result.global_scale = global_scale_from_amax(std::max(-lowest[0], highest[0]), model_dtype);
    return result;
  }
  with_arithmetic(model_dtype, [&]<DType kArithmetic>() {
    for (std::size_t i = 0; i < lowest.size(); ++i) {
      const ScaleZero found = scale_from_range<kArithmetic>(round_to<kArithmetic>(lowest[i]),
                                                            round_to<kArithmetic>(highest[i]), args);
      result.scales.push_back(round_scale(found.scale, model_dtype));
      if (!args.symmetric) result.zero_points.push_back(found.zero_point);
    }
  });
  return result;
}

}  // namespace farthing::scheme
