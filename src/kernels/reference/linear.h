// The formulas behind kernels/linear.h, element by element. The oracle of the table test; never tuned.
#pragma once

#include "tensor/quantized_matrix.h"

namespace farthing::kernels::reference {

/// Returns (code - zero_point) * scale as F32 [rows, columns].
Tensor dequantize(const QuantizedMatrix& weight);

/// y[m, n] = sum_k x[m, k] * w[n, k] + bias[n], summed in double. `w` is dense [n, k]; rows of y are
/// `y_stride` apart.
void linear(const float* x, std::int64_t m, const float* w, std::int64_t n, std::int64_t k, const float* bias,
            float* y, std::int64_t y_stride);

}  // namespace farthing::kernels::reference
