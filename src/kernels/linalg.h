// The dense algebra of calibrated methods: Gram matrices, trailing updates, Cholesky factors. fp32 storage;
// every element is summed in an order that does not depend on the number of threads.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"

namespace farthing::kernels {

/// hessian[i, j] += factor * sum_t x[t, i] * x[t, j] for j >= i (the upper triangle; the lower one is left
/// alone). `x` [tokens, size] row-major, `hessian` [size, size].
void accumulate_gram(const float* x, std::int64_t tokens, std::int64_t size, float factor, float* hessian,
                     ThreadPool& pool);

/// sum[i, j] += factor * sum_t a[t, i] * b[t, j], all of `sum` [size, size]. `a` and `b` [tokens, size].
void accumulate_product(const float* a, const float* b, std::int64_t tokens, std::int64_t size, float factor,
                        float* sum, ThreadPool& pool);

/// Copies the upper triangle onto the lower one.
void symmetrize(float* matrix, std::int64_t size, ThreadPool& pool);

/// c -= a b, with a [m, k], b [k, n], c [m, n] and their row strides.
void subtract_product(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                      std::int64_t m, std::int64_t n, std::int64_t k, float* c, std::int64_t c_stride,
                      ThreadPool& pool);

/// c -= a b^T, with a [m, k], b [n, k], c [m, n], rows one after another.
void subtract_product_transposed(const float* a, const float* b, std::int64_t m, std::int64_t n,
                                 std::int64_t k, float* c, ThreadPool& pool);

/// Replaces a symmetric positive definite matrix H by the upper triangular U with H^-1 = U^T U (zeros below),
/// the factor that GPTQ walks along. With J the reversal of rows and columns and J H J = M M^T (Cholesky), U
/// = J M^-1 J: one factorization and one triangular inverse instead of LAPACK's three steps. Returns -1, or
/// the index of the first pivot that was not positive or not finite; the matrix is then undefined.
std::int64_t inverse_cholesky_upper(float* matrix, std::int64_t size, ThreadPool& pool);

}  // namespace farthing::kernels
