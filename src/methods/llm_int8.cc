#include "methods/llm_int8.h"

#include <cmath>

#include "base/error.h"

namespace farthing::methods {

QuantizedMatrix llm_int8(const Tensor& weight, ThreadPool& pool) {
  constexpr float kHighest = 127;
  const Tensor half = weight.dtype() == DType::kF16 ? weight : from_float32(to_float32(weight), DType::kF16);
  FARTHING_REQUIRE(all_finite(half), Code::kNumeric,
                   "the weight holds values that are not finite in half precision");
  const std::int64_t rows = weight.dim(0), columns = weight.dim(1);
  QuantizedMatrix matrix{.rows = rows,
                         .columns = columns,
                         .bits = 8,
                         .granularity = Granularity::kChannel,
                         .group_size = std::max<std::int64_t>(columns, 1),
                         .global_scale = kHighest};
  matrix.codes = Tensor::empty(DType::kI8, weight.shape());
  matrix.scales = Tensor::empty(DType::kF32, {rows, 1});
  pool.parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(columns));
    for (std::int64_t row = begin; row < end; ++row) {
      copy_as_float32(half, row * columns, columns, values.data());
      float largest = 0;
      for (const float value : values) largest = std::max(largest, std::fabs(value));
      matrix.scales.mutable_data<float>()[row] = largest;
      const float factor = largest > 0 ? kHighest / largest : 0.0f;
      std::int8_t* codes = matrix.codes.mutable_data<std::int8_t>() + row * columns;
      for (std::int64_t i = 0; i < columns; ++i)
        codes[i] = static_cast<std::int8_t>(std::nearbyint(values[i] * factor));
    }
  });
  return matrix;
}

}  // namespace farthing::methods
