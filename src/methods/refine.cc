#include "methods/refine.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "scheme/parameters.h"
#include "scheme/quantizer.h"

namespace farthing::methods {
namespace {

constexpr std::int64_t kRefinedRowsPerPiece = 4;

// One row on its way: its error e = w - q and the gradient g = e H, kept up to date with every move.
class Row {
 public:
  Row(const Tensor& hessian, QuantizedMatrix& matrix, std::int64_t row)
      : hessian_(hessian.data<float>()), matrix_(matrix), columns_(matrix.columns) {
    groups_ = matrix.group_index.defined() ? matrix.group_index.data<std::int32_t>() : nullptr;
    codes_ = matrix.codes.mutable_data<std::int8_t>() + row * columns_;
    first_cell_ = row / matrix.rows_per_scale() * matrix.num_groups();
    for (std::int64_t group = 0; group < matrix.num_groups(); ++group) {
      float scale = 0;
      copy_as_float32(matrix.scales, first_cell_ + group, 1, &scale);
      scales_.push_back(scale);
      zeros_.push_back(matrix.symmetric
                           ? 0.0f
                           : static_cast<float>(matrix.zero_points.data<std::int8_t>()[first_cell_ + group]));
    }
  }

  void start(const float* weight) {
    error_.assign(static_cast<std::size_t>(columns_), 0.0f);
    gradient_.assign(static_cast<std::size_t>(columns_), 0.0f);
    for (std::int64_t j = 0; j < columns_; ++j) {
      error_[j] = weight[j] - scales_[group_of(j)] * offset(j);
      add(j, error_[j]);
    }
  }

  // Moves every code to where the error is least, the others being what they are.
  std::int64_t move_codes() {
    const int highest = (1 << (matrix_.bits - 1)) - 1, lowest = -highest - 1;
    std::int64_t moved = 0;
    for (std::int64_t j = 0; j < columns_; ++j) {
      const float curvature = hessian_[j * columns_ + j], scale = scales_[group_of(j)];
      if (!(curvature > 0.0f)) continue;
      const int wanted =
          static_cast<int>(std::clamp(std::nearbyint(codes_[j] + gradient_[j] / (curvature * scale)),
                                      static_cast<float>(lowest), static_cast<float>(highest)));
      const auto step = static_cast<float>(wanted - codes_[j]) * scale;
      // The error changes by step^2 H_jj - 2 step g_j; rounding alone must not make it grow.
      if (step == 0.0f || !(step * step * curvature < 2.0f * step * gradient_[j])) continue;
      codes_[j] = static_cast<std::int8_t>(wanted);
      error_[j] -= step;
      add(j, -step);
      ++moved;
    }
    return moved;
  }

  // Gives every group the scale with the least error, rounded to the type of the file.
  void move_scales() {
    std::vector<float> product(static_cast<std::size_t>(columns_));
    for (std::size_t group = 0; group < scales_.size(); ++group) {
      std::fill(product.begin(), product.end(), 0.0f);
      double along = 0, curvature = 0;
      for (std::int64_t j = 0; j < columns_; ++j) {
        if (group_of(j) != group || offset(j) == 0.0f) continue;
        const float* row = hessian_ + j * columns_;
        for (std::int64_t k = 0; k < columns_; ++k) product[k] += offset(j) * row[k];
        along += static_cast<double>(offset(j)) * gradient_[j];
      }
      for (std::int64_t j = 0; j < columns_; ++j)
        if (group_of(j) == group) curvature += static_cast<double>(offset(j)) * product[j];
      if (!(curvature > 0)) continue;
      const float scale =
          scheme::round_scale(scales_[group] + static_cast<float>(along / curvature), matrix_.scales.dtype());
      const float step = scale - scales_[group];
      if (!(scale > 0.0f) || !(step * step * curvature < 2.0 * step * along)) continue;
      scheme::store_scale(matrix_.scales, first_cell_ + static_cast<std::int64_t>(group), scale);
      scales_[group] = scale;
      for (std::int64_t j = 0; j < columns_; ++j) {
        if (group_of(j) == group) error_[j] -= step * offset(j);
        gradient_[j] -= step * product[j];
      }
    }
  }

 private:
  std::size_t group_of(std::int64_t column) const {
    return static_cast<std::size_t>(groups_ != nullptr ? groups_[column] : column / matrix_.group_size);
  }
  float offset(std::int64_t column) const {
    return static_cast<float>(codes_[column]) - zeros_[group_of(column)];
  }
  void add(std::int64_t column, float amount) {
    const float* row = hessian_ + column * columns_;
    for (std::int64_t k = 0; k < columns_; ++k) gradient_[k] += amount * row[k];
  }

  const float* hessian_;
  QuantizedMatrix& matrix_;
  std::int64_t columns_, first_cell_ = 0;
  const std::int32_t* groups_ = nullptr;
  std::int8_t* codes_ = nullptr;
  std::vector<float> scales_, zeros_, error_, gradient_;
};

}  // namespace

std::int64_t refine(const Tensor& weight, const Tensor& hessian, int passes, QuantizedMatrix& matrix,
                    ThreadPool& pool) {
  FARTHING_CHECK(matrix.type == NumberType::kInt && hessian.dim(0) == matrix.columns,
                 "{} columns, Hessian {}", matrix.columns, to_string(hessian.shape()));
  const bool own_scales =
      matrix.granularity == Granularity::kGroup || matrix.granularity == Granularity::kChannel;
  std::atomic<std::int64_t> changed = 0;
  pool.parallel_for(matrix.rows, kRefinedRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(matrix.columns));
    for (std::int64_t i = begin; i < end; ++i) {
      copy_as_float32(weight, i * matrix.columns, matrix.columns, values.data());
      Row row(hessian, matrix, i);
      row.start(values.data());
      for (int pass = 0; pass < passes; ++pass) {
        const std::int64_t moved = row.move_codes();
        changed += moved;
        if (own_scales) row.move_scales();
        if (moved == 0) break;
      }
    }
  });
  return changed;
}

}  // namespace farthing::methods
