#include "methods/refine.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "kernels/linalg.h"
#include "scheme/parameters.h"
#include "scheme/quantizer.h"

namespace farthing::methods {
namespace {

constexpr std::int64_t kRefinedRows = 64;   // that are multiplied together
constexpr std::int64_t kMovedColumns = 64;  // columns whose moves reach the other columns together

// Some rows on their way, with the gradients g = (w - q) H + alpha w D of each, kept up to date with every
// move.
class Refinement {
 public:
  Refinement(const Tensor& hessian, QuantizedMatrix& matrix, std::int64_t first_row, std::int64_t rows,
             ThreadPool& pool)
      : hessian_(hessian.data<float>()),
        matrix_(matrix),
        first_row_(first_row),
        rows_(rows),
        columns_(matrix.columns),
        pool_(pool),
        columns_of_(static_cast<std::size_t>(matrix.num_groups())) {
    const std::int32_t* groups =
        matrix.group_index.defined() ? matrix.group_index.data<std::int32_t>() : nullptr;
    for (std::int64_t j = 0; j < columns_; ++j) {
      group_of_.push_back(static_cast<std::size_t>(groups != nullptr ? groups[j] : j / matrix.group_size));
      columns_of_[group_of_.back()].push_back(j);
    }
    for (std::int64_t row = 0; row < rows_; ++row) {
      for (std::int64_t group = 0; group < matrix.num_groups(); ++group) {
        const std::int64_t cell = cell_of(row, static_cast<std::size_t>(group));
        copy_as_float32(matrix.scales, cell, 1, &scales_.emplace_back());
        zeros_.push_back(matrix.symmetric ? 0.0f
                                          : static_cast<float>(matrix.zero_points.data<std::int8_t>()[cell]));
      }
    }
  }

  void start(const Tensor& weight, const Tensor& shift, double alpha) {
    std::vector<float> opposite(static_cast<std::size_t>(rows_ * columns_));
    copy_as_float32(weight, first_row_ * columns_, rows_ * columns_, opposite.data());
    gradient_.assign(opposite.size(), 0.0f);
    if (shift.defined()) {
      std::vector<float> shifted(opposite.size());
      std::transform(opposite.begin(), opposite.end(), shifted.begin(),
                     [&](float value) { return static_cast<float>(-alpha) * value; });
      kernels::subtract_product(shifted.data(), columns_, shift.data<float>(), columns_, rows_, columns_,
                                columns_, gradient_.data(), columns_, pool_);
    }
    for (std::int64_t row = 0; row < rows_; ++row) {
      for (std::int64_t j = 0; j < columns_; ++j) {
        float& value = opposite[row * columns_ + j];
        value = scale(row, group_of_[j]) * offset(row, j) - value;
      }
    }
    kernels::subtract_product(opposite.data(), columns_, hessian_, columns_, rows_, columns_, columns_,
                              gradient_.data(), columns_, pool_);
  }

  // Moves every code to where the error is least, the others being what they are. Returns how many moved.
  std::int64_t move_codes() {
    std::int64_t moved = 0;
    std::vector<float> steps;
    for (std::int64_t begin = 0; begin < columns_; begin += kMovedColumns) {
      const std::int64_t end = std::min(begin + kMovedColumns, columns_), width = end - begin;
      steps.assign(static_cast<std::size_t>(rows_ * width), 0.0f);
      const std::int64_t before = moved;
      for (std::int64_t row = 0; row < rows_; ++row)
        moved += move_codes_of(row, begin, end, steps.data() + row * width);
      if (moved == before) continue;
      const float* from = hessian_ + begin * columns_;
      kernels::subtract_product(steps.data(), width, from, columns_, rows_, begin, width, gradient_.data(),
                                columns_, pool_);
      kernels::subtract_product(steps.data(), width, from + end, columns_, rows_, columns_ - end, width,
                                gradient_.data() + end, columns_, pool_);
    }
    return moved;
  }

  // Gives every group the scale with the least error, rounded to the type of the file.
  void move_scales() {
    std::vector<float> opposite, product, rows_of_group;
    for (std::size_t group = 0; group < columns_of_.size(); ++group) {
      const std::vector<std::int64_t>& columns = columns_of_[group];
      const auto width = static_cast<std::int64_t>(columns.size());
      opposite.resize(static_cast<std::size_t>(rows_ * width));
      for (std::int64_t row = 0; row < rows_; ++row) {
        for (std::int64_t i = 0; i < width; ++i) opposite[row * width + i] = -offset(row, columns[i]);
      }
      product.assign(static_cast<std::size_t>(rows_ * columns_), 0.0f);
      kernels::subtract_product(opposite.data(), width, hessian_rows(columns, rows_of_group), columns_, rows_,
                                columns_, width, product.data(), columns_, pool_);
      for (std::int64_t row = 0; row < rows_; ++row)
        move_scale_of(row, group, product.data() + row * columns_);
    }
  }

 private:
  std::int64_t move_codes_of(std::int64_t row, std::int64_t begin, std::int64_t end, float* steps) {
    const int highest = (1 << (matrix_.bits - 1)) - 1, lowest = -highest - 1;
    std::int8_t* codes = matrix_.codes.mutable_data<std::int8_t>() + (first_row_ + row) * columns_;
    float* gradient = gradient_.data() + row * columns_;
    std::int64_t moved = 0;
    for (std::int64_t j = begin; j < end; ++j) {
      const float* from = hessian_ + j * columns_;
      const float curvature = from[j], scale = this->scale(row, group_of_[j]);
      if (!(curvature > 0.0f)) continue;
      const int wanted =
          static_cast<int>(std::clamp(std::nearbyint(codes[j] + gradient[j] / (curvature * scale)),
                                      static_cast<float>(lowest), static_cast<float>(highest)));
      const auto step = static_cast<float>(wanted - codes[j]) * scale;
      // The error changes by step^2 H_jj - 2 step g_j; rounding alone must not make it grow.
      if (step == 0.0f || !(step * step * curvature < 2.0f * step * gradient[j])) continue;
      codes[j] = static_cast<std::int8_t>(wanted);
      steps[j - begin] = step;
      for (std::int64_t k = begin; k < end; ++k) gradient[k] -= step * from[k];
      ++moved;
    }
    return moved;
  }

  // `product` is what a scale of 1 adds to the gradient: the group's offsets times H.
  void move_scale_of(std::int64_t row, std::size_t group, const float* product) {
    float* gradient = gradient_.data() + row * columns_;
    double along = 0, curvature = 0;
    for (const std::int64_t j : columns_of_[group]) {
      along += static_cast<double>(offset(row, j)) * gradient[j];
      curvature += static_cast<double>(offset(row, j)) * product[j];
    }
    if (!(curvature > 0)) return;
    const float known = scale(row, group);
    const float wanted =
        scheme::round_scale(known + static_cast<float>(along / curvature), matrix_.scales.dtype());
    const float step = wanted - known;
    if (!(wanted > 0.0f) || !(step * step * curvature < 2.0 * step * along)) return;
    scheme::store_scale(matrix_.scales, cell_of(row, group), wanted);
    scale(row, group) = wanted;
    for (std::int64_t k = 0; k < columns_; ++k) gradient[k] -= step * product[k];
  }

  // The rows of H of a group's columns, one after another.
  const float* hessian_rows(const std::vector<std::int64_t>& columns, std::vector<float>& gathered) const {
    if (!matrix_.group_index.defined()) return hessian_ + columns.front() * columns_;
    gathered.clear();
    for (const std::int64_t j : columns)
      gathered.insert(gathered.end(), hessian_ + j * columns_, hessian_ + (j + 1) * columns_);
    return gathered.data();
  }

  std::int64_t cell_of(std::int64_t row, std::size_t group) const {
    return (first_row_ + row) / matrix_.rows_per_scale() * matrix_.num_groups() +
           static_cast<std::int64_t>(group);
  }
  float& scale(std::int64_t row, std::size_t group) {
    return scales_[static_cast<std::size_t>(row) * columns_of_.size() + group];
  }
  float offset(std::int64_t row, std::int64_t column) const {
    const std::int8_t code = matrix_.codes.data<std::int8_t>()[(first_row_ + row) * columns_ + column];
    return static_cast<float>(code) -
           zeros_[static_cast<std::size_t>(row) * columns_of_.size() + group_of_[column]];
  }

  const float* hessian_;
  QuantizedMatrix& matrix_;
  std::int64_t first_row_, rows_, columns_;
  ThreadPool& pool_;
  std::vector<std::size_t> group_of_;                  // of each column
  std::vector<std::vector<std::int64_t>> columns_of_;  // of each group
  std::vector<float> scales_, zeros_;                  // [rows, groups]
  std::vector<float> gradient_;                        // [rows, columns]
};

}  // namespace

std::int64_t refine(const Tensor& weight, const Tensor& hessian, int passes, QuantizedMatrix& matrix,
                    ThreadPool& pool, const Tensor& shift, double alpha) {
  FARTHING_CHECK(matrix.type == NumberType::kInt && hessian.dim(0) == matrix.columns,
                 "{} columns, Hessian {}", matrix.columns, to_string(hessian.shape()));
  const bool own_scales =
      matrix.granularity == Granularity::kGroup || matrix.granularity == Granularity::kChannel;
  std::atomic<std::int64_t> changed = 0;
  pool.parallel_for(matrix.rows, kRefinedRows, [&](std::int64_t begin, std::int64_t end) {
    Refinement piece(hessian, matrix, begin, end - begin, pool);
    piece.start(weight, shift, alpha);
    for (int pass = 0; pass < passes; ++pass) {
      const std::int64_t moved = piece.move_codes();
      changed += moved;
      if (own_scales) piece.move_scales();
      if (moved == 0) break;
    }
  });
  return changed;
}

}  // namespace farthing::methods
