// Matrix products on a thread pool, for every op that contains one.
#pragma once

#include "base/thread_pool.h"
#include "kernels/kernel_table.h"

namespace farthing::kernels {

/// Where the results of a product go.
struct ProductTarget {
  float* y = nullptr;
  std::int64_t y_stride = 0;
  bool overwrite = false;  // y = bias + x w^T; otherwise y += x w^T
  const float* bias = nullptr;
  bool upper = false;  // touch only column >= row
};

/// Multiplies `num_rows` rows of `x` by every row of `weight`.
void multiply(const KernelTable& table, const RowSource& x, std::int64_t num_rows, const PanelView& weight,
              const ProductTarget& target, ThreadPool& pool);

/// A dense matrix packed for use as the right operand of one product.
struct DensePanels {
  Tensor data;
  PanelView view;
};

/// Packs b [columns, rows] with element (k, n) at data[k * k_stride + n * n_stride], so that multiply()
/// computes y += factor * x b.
DensePanels pack_panels(const float* data, std::int64_t k_stride, std::int64_t n_stride, std::int64_t rows,
                        std::int64_t columns, float factor, ThreadPool& pool);

}  // namespace farthing::kernels
