#include "scheme/blockwise.h"

#include "base/error.h"

namespace farthing::scheme {

Tensor nested_values(const NestedScales& nested) {
  Tensor values = Tensor::empty(DType::kF32, {nested.codes.numel()});
  const std::uint8_t* codes = nested.codes.data<std::uint8_t>();
  for (std::int64_t b = 0; b < values.numel(); ++b) {
    const float product =
        nested.table.data<float>()[codes[b]] * nested.scales.data<float>()[b / nested.block_size];
    values.mutable_data<float>()[b] = product + nested.offset;
  }
  return values;
}

Tensor scales_by_row(const Tensor& block_scales, const QuantizedMatrix& matrix) {
  const std::int64_t groups = (matrix.columns + matrix.group_size - 1) / matrix.group_size;
  Tensor scales = Tensor::empty(DType::kF32, {matrix.rows, groups});
  for (std::int64_t i = 0; i < scales.numel(); ++i)
    scales.mutable_data<float>()[i] = block_scales.data<float>()[i * matrix.group_size / matrix.block_size];
  return scales;
}

Tensor scales_by_block(const QuantizedMatrix& matrix) {
  FARTHING_CHECK(matrix.block_size > 0 && matrix.scales.dtype() == DType::kF32);
  const std::int64_t count = matrix.rows * matrix.columns;
  Tensor scales = Tensor::empty(DType::kF32, {(count + matrix.block_size - 1) / matrix.block_size});
  for (std::int64_t b = 0; b < scales.numel(); ++b)
    scales.mutable_data<float>()[b] = matrix.scales.data<float>()[b * matrix.block_size / matrix.group_size];
  return scales;
}

}  // namespace farthing::scheme
