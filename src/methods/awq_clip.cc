// AutoAWQ's second step: where the largest weights of a group are cut off.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "kernels/linalg.h"
#include "methods/awq.h"
#include "methods/rtn.h"
#include "scheme/quantizer.h"

namespace farthing::methods {
namespace {

constexpr int kSteps = 20, kTried = 10;  // down to half of the largest
constexpr std::int64_t kRowsAtOnce = 512;

// max |w| of every row and group.
Tensor largest_of_groups(const Tensor& weight, std::int64_t width, ThreadPool& pool) {
  const std::int64_t rows = weight.dim(0), columns = weight.dim(1), groups = columns / width;
  Tensor largest = Tensor::zeros(DType::kF32, {rows, groups});
  float* out = largest.mutable_data<float>();
  pool.parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(columns));
    for (std::int64_t row = begin; row < end; ++row) {
      copy_as_float32(weight, row * columns, columns, values.data());
      for (std::int64_t c = 0; c < columns; ++c) {
        float& cell = out[row * groups + c / width];
        cell = std::max(cell, std::abs(values[static_cast<std::size_t>(c)]));
      }
    }
  });
  return largest;
}

// For every row and group d G d^T, with d what rounding of the clipped weight changes.
Tensor errors_of_groups(const Tensor& weight, const QuantizedMatrix& rounded, const Tensor& gram,
                        ThreadPool& pool) {
  const std::int64_t rows = weight.dim(0), columns = weight.dim(1), groups = gram.dim(0), width = gram.dim(1);
  Tensor difference = scheme::dequantize(rounded, pool);
  float* d = difference.mutable_data<float>();
  const Tensor original = to_float32(weight);
  for (std::int64_t i = 0; i < difference.numel(); ++i) d[i] -= original.data<float>()[i];
  Tensor product = Tensor::zeros(DType::kF32, {rows, columns});  // becomes -d G
  for (std::int64_t g = 0; g < groups; ++g) {
    kernels::subtract_product(d + g * width, columns, gram.data<float>() + g * width * width, width, rows,
                              width, width, product.mutable_data<float>() + g * width, columns, pool);
  }
  Tensor errors = Tensor::zeros(DType::kF32, {rows, groups});
  float* out = errors.mutable_data<float>();
  pool.parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * columns; i < end * columns; ++i)
      out[i / columns * groups + i % columns / width] -= d[i] * product.data<float>()[i];
  });
  return errors;
}

}  // namespace

std::int64_t awq_clip_width(const scheme::QuantizationArgs& args, std::int64_t columns) {
  if (args.type != NumberType::kInt) return 0;
  if (args.strategy == scheme::Strategy::kChannel) return columns;
  if (args.strategy != scheme::Strategy::kGroup || columns % *args.group_size != 0) return 0;
  return *args.group_size;
}

Tensor awq_clip_limits(const AwqWeight& weight, const Tensor& gram, const scheme::ObserverOptions& observer,
                       ThreadPool& pool) {
  const std::int64_t rows = weight.weight.dim(0), groups = gram.dim(0), width = gram.dim(1);
  FARTHING_CHECK(groups * width == weight.weight.dim(1), "{} for {}", to_string(gram.shape()),
                 to_string(weight.weight.shape()));
  Tensor best = Tensor::empty(DType::kF32, {rows, groups});
  float* limits = best.mutable_data<float>();
  for (std::int64_t begin = 0; begin < rows; begin += kRowsAtOnce) {
    const Tensor part = weight.weight.rows(begin, std::min(begin + kRowsAtOnce, rows));
    const Tensor largest = largest_of_groups(part, width, pool);
    std::vector<float> least(static_cast<std::size_t>(largest.numel()),
                             std::numeric_limits<float>::infinity());
    std::copy_n(largest.data<float>(), largest.numel(), limits + begin * groups);
    for (int step = 0; step < kTried; ++step) {
      Tensor tried = largest.clone();
      for (float& limit : std::span(tried.mutable_data<float>(), least.size()))
        limit *= 1.0f - static_cast<float>(step) / kSteps;
      const QuantizedMatrix rounded = rtn(clip_groups(part, tried, pool), *weight.args, observer, pool);
      const Tensor errors = errors_of_groups(part, rounded, gram, pool);
      for (std::size_t i = 0; i < least.size(); ++i) {
        const float error = errors.data<float>()[i];
        if (!(error < least[i])) continue;
        least[i] = error;
        limits[static_cast<std::size_t>(begin * groups) + i] = tried.data<float>()[i];
      }
    }
  }
  return best;
}

Tensor clip_groups(const Tensor& weight, const Tensor& limits, ThreadPool& pool) {
  const std::int64_t rows = weight.dim(0), columns = weight.dim(1), groups = limits.dim(1),
                     width = columns / groups;
  Tensor values = Tensor::empty(DType::kF32, weight.shape());
  float* out = values.mutable_data<float>();
  pool.parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    copy_as_float32(weight, begin * columns, (end - begin) * columns, out + begin * columns);
    for (std::int64_t i = begin * columns; i < end * columns; ++i) {
      const float limit = limits.data<float>()[i / columns * groups + i % columns / width];
      out[i] = std::clamp(out[i], -limit, limit);
    }
  });
  return from_float32(values, weight.dtype());
}

}  // namespace farthing::methods
