#include "kernels/reference/linalg.h"

#include <cmath>
#include <vector>

namespace farthing::kernels::reference {

void accumulate_gram(const float* x, std::int64_t tokens, std::int64_t size, float factor, float* hessian,
                     std::int64_t row_begin, std::int64_t row_end) {
  for (std::int64_t i = row_begin; i < row_end; ++i) {
    for (std::int64_t j = i; j < size; ++j) {
      double sum = 0.0;
      for (std::int64_t t = 0; t < tokens; ++t) sum += static_cast<double>(x[t * size + i]) * x[t * size + j];
      hessian[i * size + j] = static_cast<float>(hessian[i * size + j] + factor * sum);
    }
  }
}

void subtract_product(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                      std::int64_t m, std::int64_t n, std::int64_t k, float* c, std::int64_t c_stride) {
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = c[i * c_stride + j];
      for (std::int64_t l = 0; l < k; ++l)
        sum -= static_cast<double>(a[i * a_stride + l]) * b[l * b_stride + j];
      c[i * c_stride + j] = static_cast<float>(sum);
    }
  }
}

// H = R R^T with R upper triangular (R = J M J, from the last row up), then U = R^-1.
std::int64_t inverse_cholesky_upper(float* matrix, std::int64_t size) {
  const std::int64_t n = size;
  std::vector<double> r(static_cast<std::size_t>(n * n), 0.0), u(r);
  for (std::int64_t j = n - 1; j >= 0; --j) {
    for (std::int64_t i = j; i >= 0; --i) {
      double sum = matrix[i * n + j];
      for (std::int64_t l = j + 1; l < n; ++l) sum -= r[i * n + l] * r[j * n + l];
      if (i == j && !(sum > 0.0 && std::isfinite(sum))) return j;
      r[i * n + j] = i == j ? std::sqrt(sum) : sum / r[j * n + j];
    }
  }
  for (std::int64_t j = 0; j < n; ++j) {
    u[j * n + j] = 1.0 / r[j * n + j];
    for (std::int64_t i = j - 1; i >= 0; --i) {
      double sum = 0.0;
      for (std::int64_t l = i + 1; l <= j; ++l) sum += r[i * n + l] * u[l * n + j];
      u[i * n + j] = -sum / r[i * n + i];
    }
  }
  for (std::int64_t i = 0; i < n * n; ++i) matrix[i] = static_cast<float>(u[i]);
  return -1;
}

}  // namespace farthing::kernels::reference
