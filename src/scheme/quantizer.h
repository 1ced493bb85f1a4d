// From weights to codes and back, and how far apart the two are.
#pragma once

#include "base/thread_pool.h"
#include "scheme/parameters.h"

namespace farthing::scheme {

/// Returns the codes of `weight` [rows, columns] (F32, BF16 or F16) on the grid of `args`: round(clamp(x /
/// scale + zero point)), clamped before rounding, ties to even. Quotient and sum are rounded to the dtype
/// that weight and scales have in common, as when llm-compressor compresses a 16-bit model; fp32 when they
/// differ.
QuantizedMatrix quantize(const Tensor& weight, const QuantizationArgs& args,
                         QuantizationParameters parameters, ThreadPool& pool);

/// Returns a QuantizedMatrix of the right shape for `args` without codes: what methods fill.
QuantizedMatrix empty_matrix(const QuantizationArgs& args, std::int64_t rows, std::int64_t columns,
                             QuantizationParameters parameters);

/// The factors codes are multiplied by: F32, shape of `scales`, divided by the global scale where there is
/// one.
Tensor effective_scales(const QuantizedMatrix& matrix);

/// Turns rows back into values. Keeps what all rows need; safe to use from several threads.
class RowDequantizer {
 public:
  explicit RowDequantizer(const QuantizedMatrix& matrix);

  /// Writes (code - zero point) * scale of one row, a product in fp32, to `values` [columns].
  void row(std::int64_t row, float* values) const;

 private:
  QuantizedMatrix matrix_;
  Tensor scales_;
  float divisor_;  // of the products; 0 means none
};

/// Returns the values as F32 [rows, columns], each rounded to `rounding` (kF32: exact fp32 products; kBF16:
/// what a framework that decompresses to bf16 computes with).
Tensor dequantize(const QuantizedMatrix& matrix, ThreadPool& pool, DType rounding = DType::kF32);

struct QuantizationError {
  double mse = 0;       // mean squared difference
  double relative = 0;  // root of the sum of squared differences over that of the squared weights
  double sqnr_db = 0;   // -20 log10(relative); infinite when nothing was lost
  double max_abs = 0;
};

/// Compares a weight with its quantized form. Sums are taken in an order that does not depend on threads.
QuantizationError measure_error(const Tensor& weight, const QuantizedMatrix& matrix, ThreadPool& pool);

}  // namespace farthing::scheme
