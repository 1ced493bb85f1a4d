#include "methods/folding.h"

#include "base/error.h"

namespace farthing::methods {

Tensor divide_outputs(const Tensor& tensor, std::span<const float> scale, float offset) {
  const auto count = static_cast<std::int64_t>(scale.size());
  const std::int64_t rows = tensor.dim(0), width = rows > 0 ? tensor.numel() / rows : 0;
  FARTHING_CHECK(count <= rows, "{} scales for {}", count, to_string(tensor.shape()));
  Tensor values = Tensor::empty(DType::kF32, tensor.shape());
  float* out = values.mutable_data<float>();
  copy_as_float32(tensor, 0, tensor.numel(), out);
  for (std::int64_t i = (rows - count) * width; i < rows * width; ++i)
    out[i] = (out[i] + offset) / scale[static_cast<std::size_t>(i / width - (rows - count))] - offset;
  return from_float32(values, tensor.dtype());
}

Tensor multiply_inputs(const Tensor& weight, std::span<const float> scale, ThreadPool& pool) {
  const std::int64_t rows = weight.dim(0), columns = weight.dim(1);
  FARTHING_CHECK(columns == static_cast<std::int64_t>(scale.size()), "{} scales for {}", scale.size(),
                 to_string(weight.shape()));
  Tensor values = Tensor::empty(DType::kF32, weight.shape());
  float* out = values.mutable_data<float>();
  pool.parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* line = out + row * columns;
      copy_as_float32(weight, row * columns, columns, line);
      for (std::int64_t i = 0; i < columns; ++i) line[i] *= scale[static_cast<std::size_t>(i)];
    }
  });
  return from_float32(values, weight.dtype());
}

}  // namespace farthing::methods
