#include "kernels/linear.h"

#include "base/error.h"
#include "kernels/reference/linear.h"

namespace farthing::kernels {

std::size_t PackedWeight::num_bytes() const {
  return data.num_bytes() + scales.num_bytes() + zero_points.num_bytes() + column_order.num_bytes();
}

PackedWeight pack_weight(const Tensor& weight, Isa isa) {
  FARTHING_CHECK(weight.rank() == 2, "{}", to_string(weight.shape()));
  const int bits = dtype_bits(weight.dtype());
  return {.rows = weight.dim(0),
          .columns = weight.dim(1),
          .kernel = "dense_scalar",
          .isa = isa,
          .bits = bits,
          .data = weight};
}

PackedWeight pack_weight(const QuantizedMatrix& weight, Isa isa) {
  return pack_weight(reference::dequantize(weight), isa);
}

Tensor unpack_weight(const PackedWeight& weight) {
  return to_float32(weight.data);
}

void linear(const float* x, std::int64_t m, const PackedWeight& weight, const float* bias, float* y,
            ThreadPool& pool) {
  const Tensor values = to_float32(weight.data);
  const float* w = values.data<float>();
  pool.parallel_for(weight.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    reference::linear(x, m, w + begin * weight.columns, end - begin, weight.columns,
                      bias == nullptr ? nullptr : bias + begin, y + begin, weight.rows);
  });
}

}  // namespace farthing::kernels
