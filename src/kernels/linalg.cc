#include "kernels/linalg.h"

#include "kernels/product.h"

namespace farthing::kernels {
namespace {

// Tokens whose packed copy is held at once.
constexpr std::int64_t kGramTokens = 2048;

// target += factor * a^T b
void accumulate(const float* a, const float* b, std::int64_t tokens, std::int64_t size, float factor,
                const ProductTarget& target, ThreadPool& pool) {
  for (std::int64_t begin = 0; begin < tokens; begin += kGramTokens) {
    const std::int64_t count = std::min(kGramTokens, tokens - begin);
    const DensePanels panels = pack_panels(b + begin * size, size, 1, size, count, factor, pool);
    const RowSource columns{.data = a + begin * size, .row_stride = 1, .column_stride = size};
    multiply(kernel_table(active_isa()), columns, size, panels.view, target, pool);
  }
}

}  // namespace

void accumulate_gram(const float* x, std::int64_t tokens, std::int64_t size, float factor, float* hessian,
                     ThreadPool& pool) {
  accumulate(x, x, tokens, size, factor, {.y = hessian, .y_stride = size, .upper = true}, pool);
}

void accumulate_product(const float* a, const float* b, std::int64_t tokens, std::int64_t size, float factor,
                        float* sum, ThreadPool& pool) {
  accumulate(a, b, tokens, size, factor, {.y = sum, .y_stride = size}, pool);
}

void symmetrize(float* matrix, std::int64_t size, ThreadPool& pool) {
  // Square tiles, so that both sides are read and written in whole cache lines.
  constexpr std::int64_t kTile = 32;
  const std::int64_t tiles = (size + kTile - 1) / kTile;
  pool.parallel_for(tiles, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * kTile; i < std::min(size, end * kTile); i += kTile) {
      for (std::int64_t j = 0; j <= i; j += kTile) {
        for (std::int64_t row = i; row < std::min(size, i + kTile); ++row) {
          for (std::int64_t column = j; column < std::min(row, j + kTile); ++column)
            matrix[row * size + column] = matrix[column * size + row];
        }
      }
    }
  });
}

void subtract_product(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                      std::int64_t m, std::int64_t n, std::int64_t k, float* c, std::int64_t c_stride,
                      ThreadPool& pool) {
  const DensePanels panels = pack_panels(b, b_stride, 1, n, k, -1.0f, pool);
  const RowSource rows{.data = a, .row_stride = a_stride};
  multiply(kernel_table(active_isa()), rows, m, panels.view, {.y = c, .y_stride = c_stride}, pool);
}

void subtract_product_transposed(const float* a, const float* b, std::int64_t m, std::int64_t n,
                                 std::int64_t k, float* c, ThreadPool& pool) {
  const DensePanels panels = pack_panels(b, 1, k, n, k, -1.0f, pool);
  const RowSource rows{.data = a, .row_stride = k};
  multiply(kernel_table(active_isa()), rows, m, panels.view, {.y = c, .y_stride = n}, pool);
}

}  // namespace farthing::kernels
