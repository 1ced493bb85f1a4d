#include "methods/awq.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "methods/folding.h"
#include "methods/rtn.h"
#include "scheme/grid.h"
#include "scheme/quantizer.h"

namespace farthing::methods {
namespace {

// Values of a group far below these are nothing.
constexpr float kGroupFloor = 1e-6f;
constexpr double kWeightFloor = 1e-4, kSmallestScale = 1e-4;

// max |w| of every cell that shares a scale, row-major, plus the floor.
template <DType kArithmetic>
std::vector<float> cell_sizes(const Tensor& weight, const scheme::CellGrid& grid, ThreadPool& pool) {
  constexpr auto round = scheme::round_to<kArithmetic>;
  const std::int64_t width = grid.scale_columns();
  std::vector<float> sizes(static_cast<std::size_t>(grid.scale_rows() * width), 0.0f);
  pool.parallel_for(grid.scale_rows(), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(grid.columns));
    for (std::int64_t row = begin * grid.cell_rows; row < std::min(end * grid.cell_rows, grid.rows); ++row) {
      copy_as_float32(weight, row * grid.columns, grid.columns, values.data());
      float* line = sizes.data() + row / grid.cell_rows * width;
      for (std::int64_t c = 0; c < grid.columns; ++c)
        line[c / grid.cell_columns] =
            std::max(line[c / grid.cell_columns], round(std::abs(values[static_cast<std::size_t>(c)])));
    }
  });
  for (float& size : sizes) size = round(size + kGroupFloor);
  return sizes;
}

// Adds |w| / size of its cell, row after row, to `sums` [columns].
template <DType kArithmetic>
void add_relative_sizes(const AwqWeight& weight, std::vector<double>& sums, ThreadPool& pool) {
  constexpr auto round = scheme::round_to<kArithmetic>;
  const scheme::CellGrid grid = scheme::cell_grid(*weight.args, weight.weight.dim(0), weight.weight.dim(1));
  const std::vector<float> sizes = cell_sizes<kArithmetic>(weight.weight, grid, pool);
  pool.parallel_for(grid.columns, 64, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(end - begin));
    for (std::int64_t row = 0; row < grid.rows; ++row) {
      copy_as_float32(weight.weight, row * grid.columns + begin, end - begin, values.data());
      const float* line = sizes.data() + row / grid.cell_rows * grid.scale_columns();
      for (std::int64_t c = begin; c < end; ++c)
        sums[static_cast<std::size_t>(c)] +=
            round(round(std::abs(values[static_cast<std::size_t>(c - begin)])) / line[c / grid.cell_columns]);
    }
  });
}

// Every step in doubles, or rounded to a short type.
template <typename Round>
std::vector<float> scale_of(std::span<const double> inputs, std::span<const double> weights,
                            const AwqCandidate& candidate, const Round& round) {
  std::vector<double> scale(inputs.size());
  for (std::size_t i = 0; i < scale.size(); ++i) {
    scale[i] = round(std::pow(round(inputs[i]), candidate.ratio));
    if (candidate.duo) {
      const double divisor = round(round(std::pow(round(weights[i]), 1 - candidate.ratio)) + kWeightFloor);
      scale[i] = round(scale[i] / divisor);
    }
    scale[i] = std::max(scale[i], round(kSmallestScale));
  }
  const auto [smallest, largest] = std::minmax_element(scale.begin(), scale.end());
  const double middle = round(std::sqrt(round(*largest * *smallest)));
  std::vector<float> result(scale.size());
  for (std::size_t i = 0; i < scale.size(); ++i) {
    const double value = round(scale[i] / middle);
    result[i] = std::isfinite(value) && value > 0 ? static_cast<float>(value) : 1.0f;
  }
  return result;
}

}  // namespace

std::vector<AwqCandidate> awq_candidates(const AwqOptions& options) {
  const int count = options.num_candidates;
  FARTHING_REQUIRE(count >= 4 && count <= 1000, Code::kInvalidArgument,
                   "AWQ should try from 4 to 1000 candidates", {{"n_grid", count}});
  std::vector<AwqCandidate> candidates;
  if (options.duo == DuoScaling::kBoth) {
    for (const bool duo : {false, true})
      for (int i = 0; i < count / 2; ++i)
        candidates.push_back({static_cast<double>(i) / (count / 2 - 1), duo});
    return candidates;
  }
  const bool duo = options.duo == DuoScaling::kOn;
  if (options.autoawq_grid) {
    for (int i = 0; i < count; ++i) candidates.push_back({static_cast<double>(i) / count, duo});
    return candidates;
  }
  // Without duo, the ratio 0 is no scaling at all; with it, that candidate comes first and extra.
  if (duo) candidates.push_back({0, false});
  const int steps = count - static_cast<int>(candidates.size());
  for (int i = 0; i < steps; ++i) candidates.push_back({static_cast<double>(i) / (steps - 1), duo});
  return candidates;
}

std::vector<double> awq_weight_means(std::span<const AwqWeight> weights, const AwqOptions& options,
                                     ThreadPool& pool) {
  FARTHING_CHECK(!weights.empty());
  std::vector<double> sums(static_cast<std::size_t>(weights.front().weight.dim(1)), 0.0);
  std::int64_t rows = 0;
  for (const AwqWeight& weight : weights) {
    rows += weight.weight.dim(0);
    scheme::with_arithmetic(options.arithmetic.value_or(weight.weight.dtype()), [&]<DType kArithmetic>() {
      add_relative_sizes<kArithmetic>(weight, sums, pool);
    });
  }
  for (double& sum : sums) sum /= static_cast<double>(rows);
  return sums;
}

std::vector<float> awq_scale(std::span<const double> input_means, std::span<const double> weight_means,
                             const AwqCandidate& candidate, const AwqOptions& options) {
  if (!options.arithmetic)
    return scale_of(input_means, weight_means, candidate, [](double value) { return value; });
  return scheme::with_arithmetic(*options.arithmetic, [&]<DType kArithmetic>() {
    return scale_of(input_means, weight_means, candidate, [](double value) {
      return static_cast<double>(scheme::round_to<kArithmetic>(static_cast<float>(value)));
    });
  });
}

Tensor awq_rounded(const AwqWeight& weight, std::span<const float> scale,
                   const scheme::ObserverOptions& observer, ThreadPool& pool) {
  const Tensor scaled = multiply_inputs(weight.weight, scale, pool);
  Tensor values = scheme::dequantize(rtn(scaled, *weight.args, observer, pool), pool);
  const std::int64_t columns = values.dim(1);
  float* out = values.mutable_data<float>();
  pool.parallel_for(values.dim(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      for (std::int64_t c = 0; c < columns; ++c) out[row * columns + c] /= scale[static_cast<std::size_t>(c)];
  });
  return values;
}

}  // namespace farthing::methods
