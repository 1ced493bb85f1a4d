#include "kernels/linear.h"

#include "kernels/product.h"

namespace farthing::kernels {

std::size_t PackedWeight::num_bytes() const {
  return data.num_bytes() + scales.num_bytes() + zero_points.num_bytes() + column_order.num_bytes();
}

void linear(const float* x, std::int64_t m, const PackedWeight& weight, const float* bias, float* y,
            ThreadPool& pool) {
  const RowSource rows{
      .data = x,
      .row_stride = weight.columns,
      .order = weight.column_order.defined() ? weight.column_order.data<std::int32_t>() : nullptr};
  const ProductTarget target{.y = y, .y_stride = weight.rows, .overwrite = true, .bias = bias};
  multiply(kernel_table(weight.isa), rows, m, view(weight), target, pool);
}

}  // namespace farthing::kernels
