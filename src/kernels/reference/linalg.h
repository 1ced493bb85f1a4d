// The formulas behind kernels/linalg.h, in double. The oracle of the table test; never tuned.
#pragma once

#include <cstdint>

namespace farthing::kernels::reference {

/// Rows [row_begin, row_end) of hessian += factor * x^T x, upper triangle.
void accumulate_gram(const float* x, std::int64_t tokens, std::int64_t size, float factor, float* hessian,
                     std::int64_t row_begin, std::int64_t row_end);

/// c -= a b.
void subtract_product(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                      std::int64_t m, std::int64_t n, std::int64_t k, float* c, std::int64_t c_stride);

/// The arguments and result are those of kernels::inverse_cholesky_upper.
std::int64_t inverse_cholesky_upper(float* matrix, std::int64_t size);

}  // namespace farthing::kernels::reference
