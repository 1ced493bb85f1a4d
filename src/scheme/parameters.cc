#include "scheme/parameters.h"

#include <cmath>
#include <limits>

#include "base/error.h"

namespace farthing::scheme {
namespace {

constexpr std::uint32_t kMantissaOf175 =
    1u << 21;  // added to the fp32 bits, carries into the exponent from 1.75 on

constexpr float kLargestNvfp4 = 448.0f * 6.0f;  // the largest scale times the largest code

float smallest_step(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return 0x1p-7f;
    case DType::kF16:
      return 0x1p-10f;
    case DType::kF8E4M3:
      return 0x1p-3f;
    default:
      return std::numeric_limits<float>::epsilon();
  }
}

}  // namespace

float mx_scale(float amax, const QuantizationArgs& args) {
  const int exponent = static_cast<int>((std::bit_cast<std::uint32_t>(amax) + kMantissaOf175) >> 23) - 127;
  const int largest_on_grid =
      args.num_bits == 4 ? 2 : 8;  // 4 and 256 are the largest powers of two of E2M1 and E4M3
  return std::ldexp(1.0f, std::clamp(exponent - largest_on_grid, -127, 127));
}

DType scale_dtype_of(const QuantizationArgs& args, DType model_dtype) {
  if (!args.scale_dtype) return model_dtype;
  return *args.scale_dtype == DType::kU8 ? DType::kF8E8M0 : *args.scale_dtype;
}

float round_scale(float scale, DType dtype) {
  const float rounded = dtype == DType::kBF16     ? round_to_bf16(scale)
                        : dtype == DType::kF16    ? round_to_fp16(scale)
                        : dtype == DType::kF8E4M3 ? Fp8Grid{}.snap(scale)
                                                  : scale;
  return rounded == 0.0f ? smallest_step(dtype) : rounded;
}

float store_scale(Tensor& scales, std::int64_t index, float scale) {
  const auto write = [&]<typename T>(T bits) {
    reinterpret_cast<T*>(scales.mutable_bytes().data())[index] = bits;
  };
  scale = round_scale(scale, scales.dtype());
  switch (scales.dtype()) {
    case DType::kF32:
      write(scale);
      break;
    case DType::kBF16:
      write(float_to_bf16(scale));
      break;
    case DType::kF16:
      write(float_to_fp16(scale));
      break;
    case DType::kF8E4M3:
      write(Fp8Grid::encode(scale));
      break;
    case DType::kF8E8M0:
      write(static_cast<std::uint8_t>(std::ilogb(scale) + 127));
      break;
    default:
      FARTHING_CHECK(false, "{} cannot hold scales", dtype_name(scales.dtype()));
  }
  return scale;
}

float global_scale_from_amax(float amax, DType arithmetic) {
  if (!(amax > 0.0f)) return 1.0f;
  const float scale = with_arithmetic(arithmetic, [&]<DType kArithmetic>() {
    return round_to<kArithmetic>(kLargestNvfp4 * round_to<kArithmetic>(1.0f / amax));
  });
  return std::isfinite(scale) ? scale : 1.0f;
}

QuantizationParameters parameters_from_ranges(std::span<const float> lowest, std::span<const float> highest,
                                              const CellGrid& grid, const QuantizationArgs& args,
                                              DType arithmetic, DType model_dtype, float global_scale) {
  const Shape shape = {grid.scale_rows(), grid.scale_columns()};
  QuantizationParameters result{.scales = Tensor::empty(scale_dtype_of(args, model_dtype), shape),
                                .global_scale = global_scale};
  if (!args.symmetric) result.zero_points = Tensor::empty(DType::kI8, shape);
  with_arithmetic(arithmetic, [&]<DType kArithmetic>() {
    for (std::int64_t cell = 0; cell < result.scales.numel(); ++cell) {
      ScaleZero found = scale_from_range<kArithmetic>(lowest[cell], highest[cell], args);
      if (global_scale != 0.0f) found.scale *= global_scale;
      store_scale(result.scales, cell, found.scale);
      if (!args.symmetric)
        result.zero_points.mutable_data<std::int8_t>()[cell] = static_cast<std::int8_t>(found.zero_point);
    }
  });
  return result;
}

}  // namespace farthing::scheme
