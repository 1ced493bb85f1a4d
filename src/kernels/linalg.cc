#include "kernels/linalg.h"

#include "kernels/reference/linalg.h"

namespace farthing::kernels {

void accumulate_gram(const float* x, std::int64_t tokens, std::int64_t size, float factor, float* hessian,
                     ThreadPool& pool) {
  pool.parallel_for(size, 16, [&](std::int64_t begin, std::int64_t end) {
    reference::accumulate_gram(x, tokens, size, factor, hessian, begin, end);
  });
}

void symmetrize(float* matrix, std::int64_t size, ThreadPool& pool) {
  pool.parallel_for(size, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t j = 0; j < i; ++j) matrix[i * size + j] = matrix[j * size + i];
    }
  });
}

void subtract_product(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                      std::int64_t m, std::int64_t n, std::int64_t k, float* c, std::int64_t c_stride,
                      ThreadPool& pool) {
  pool.parallel_for(m, 16, [&](std::int64_t begin, std::int64_t end) {
    reference::subtract_product(a + begin * a_stride, a_stride, b, b_stride, end - begin, n, k,
                                c + begin * c_stride, c_stride);
  });
}

std::int64_t inverse_cholesky_upper(float* matrix, std::int64_t size, ThreadPool&) {
  return reference::inverse_cholesky_upper(matrix, size);
}

}  // namespace farthing::kernels
