#include "kernels/reference/linear.h"

#include "tensor/float_types.h"

namespace farthing::kernels::reference {
namespace {

float code_value(const QuantizedMatrix& weight, std::int64_t index) {
  if (weight.type == NumberType::kInt) return static_cast<float>(weight.codes.data<std::int8_t>()[index]);
  const auto byte = static_cast<std::uint8_t>(weight.codes.bytes()[static_cast<std::size_t>(index)]);
  if (weight.table.defined()) return weight.table.data<float>()[byte];
  return weight.codes.dtype() == DType::kF8E4M3 ? fp8_e4m3_to_float(byte) : fp4_e2m1_to_float(byte);
}

float scale_value(const QuantizedMatrix& weight, std::int64_t index) {
  float scale;
  copy_as_float32(weight.scales, index, 1, &scale);
  return weight.global_scale != 0 ? scale / weight.global_scale : scale;
}

}  // namespace

Tensor dequantize(const QuantizedMatrix& weight) {
  Tensor values = Tensor::empty(DType::kF32, {weight.rows, weight.columns});
  float* out = values.mutable_data<float>();
  for (std::int64_t r = 0; r < weight.rows; ++r) {
    for (std::int64_t c = 0; c < weight.columns; ++c) {
      const std::int64_t group =
          weight.group_index.defined() ? weight.group_index.data<std::int32_t>()[c] : c / weight.group_size;
      const std::int64_t at = r / weight.rows_per_scale() * weight.num_groups() + group;
      const float zero =
          weight.symmetric ? 0.0f : static_cast<float>(weight.zero_points.data<std::int8_t>()[at]);
      const std::int64_t index = r * weight.columns + c;
      out[index] = (code_value(weight, index) - zero) * scale_value(weight, at);
    }
  }
  return values;
}

void linear(const float* x, std::int64_t m, const float* w, std::int64_t n, std::int64_t k, const float* bias,
            float* y, std::int64_t y_stride) {
  for (std::int64_t row = 0; row < m; ++row) {
    for (std::int64_t column = 0; column < n; ++column) {
      double sum = bias == nullptr ? 0.0 : bias[column];
      for (std::int64_t i = 0; i < k; ++i) {
        sum += static_cast<double>(x[row * k + i]) * static_cast<double>(w[column * k + i]);
      }
      y[row * y_stride + column] = static_cast<float>(sum);
    }
  }
}

}  // namespace farthing::kernels::reference
