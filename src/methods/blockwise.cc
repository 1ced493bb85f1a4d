#include "methods/blockwise.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "scheme/blockwise.h"

namespace farthing::methods {
namespace {

constexpr std::int64_t kNestedBlock = 256;
constexpr std::int64_t kBlocksPerPiece = 64;

float largest_magnitude(const float* values, std::int64_t count) {
  float largest = 0;
  for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(values[i]));
  return largest;
}

// The place of the map's value nearest to `value`; between two, the lower one from the middle on.
std::uint8_t nearest_place(const Tensor& map, float value) {
  const std::span<const float> values = map.span<float>();
  const auto above = std::lower_bound(values.begin(), values.end(), value);
  if (above == values.begin()) return 0;
  if (above == values.end()) return static_cast<std::uint8_t>(values.size() - 1);
  const auto below = above - 1;
  const bool lower = value - *below <= *above - value;
  return static_cast<std::uint8_t>((lower ? below : above) - values.begin());
}

}  // namespace

QuantizedMatrix quantize_blockwise(const Tensor& weight, const scheme::QuantizationArgs& args,
                                   ThreadPool& pool) {
  FARTHING_CHECK(weight.rank() == 2 && args.group_size, "weight {}", to_string(weight.shape()));
  FARTHING_REQUIRE(all_finite(weight), Code::kNumeric, "the weight holds values that are not finite");
  const bool is_nf4 = args.type == NumberType::kNf4;
  const std::int64_t count = weight.numel(), columns = weight.dim(1), block = *args.group_size;
  const std::int64_t blocks = (count + block - 1) / block;
  QuantizedMatrix matrix{.rows = weight.dim(0),
                         .columns = columns,
                         .bits = 4,
                         .type = args.type,
                         .group_size = std::gcd(std::max<std::int64_t>(columns, 1), block)};
  matrix.codes = Tensor::empty(DType::kU8, weight.shape());
  Tensor absmax = Tensor::empty(DType::kF32, {blocks});
  pool.parallel_for(blocks, kBlocksPerPiece, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(block));
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int64_t size = std::min(block, count - b * block);
      copy_as_float32(weight, b * block, size, values.data());
      const float largest = largest_magnitude(values.data(), size);
      absmax.mutable_data<float>()[b] = largest;
      // A product with the reciprocal, as the reference has it; zeros stay zeros.
      const float inverse = largest > 0 ? 1.0f / largest : 0.0f;
      for (std::int64_t i = 0; i < size; ++i) values[i] *= inverse;
      (is_nf4 ? nf4_codes : fp4_codes)(values.data(), size,
                                       matrix.codes.mutable_data<std::uint8_t>() + b * block);
    }
  });
  if (args.scale_dtype == DType::kU8) {
    matrix.nested_scales = std::make_shared<const NestedScales>(quantize_scales(absmax));
    absmax = scheme::nested_values(*matrix.nested_scales);
  }
  matrix.block_size = block;
  matrix.scales = scheme::scales_by_row(absmax, matrix);
  matrix.table = is_nf4 ? nf4_table() : fp4_table();
  matrix.rounding = weight.dtype();
  return matrix;
}

NestedScales quantize_scales(const Tensor& scales) {
  const std::int64_t count = scales.numel();
  double sum = 0;
  for (const float scale : scales.span<float>()) sum += scale;
  NestedScales nested{.codes = Tensor::empty(DType::kU8, {count}),
                      .table = dynamic_map(),
                      .scales = Tensor::empty(DType::kF32, {(count + kNestedBlock - 1) / kNestedBlock}),
                      .offset = count > 0 ? static_cast<float>(sum / static_cast<double>(count)) : 0.0f,
                      .block_size = kNestedBlock};
  std::vector<float> centred(scales.span<float>().begin(), scales.span<float>().end());
  for (float& value : centred) value -= nested.offset;
  for (std::int64_t b = 0; b < nested.scales.numel(); ++b) {
    const std::int64_t begin = b * kNestedBlock, size = std::min(kNestedBlock, count - begin);
    const float largest = largest_magnitude(centred.data() + begin, size);
    nested.scales.mutable_data<float>()[b] = largest;
    const float inverse = largest > 0 ? 1.0f / largest : 0.0f;
    for (std::int64_t i = begin; i < begin + size; ++i)
      nested.codes.mutable_data<std::uint8_t>()[i] = nearest_place(nested.table, centred[i] * inverse);
  }
  return nested;
}

Tensor dynamic_map() {
  constexpr int kExponents = 7;
  std::vector<float> values = {0.0f, 1.0f};
  for (int i = 0; i < kExponents; ++i) {
    // The middles between equally spaced points from 0.1 to 1, moved down by powers of ten.
    const int steps = 1 << i;
    // Counted from the nearer end and rounded once, as torch.linspace does.
    const double step = (1.0f - 0.1f) / static_cast<float>(steps);
    const auto point = [&](int k) {
      return static_cast<float>(k < (steps + 1) / 2 ? static_cast<double>(0.1f) + step * k
                                                    : 1.0 - step * (steps - k));
    };
    const auto power = static_cast<float>(std::pow(10.0, i - (kExponents - 1)));
    for (int k = 0; k < steps; ++k) {
      const float middle = (point(k) + point(k + 1)) / 2.0f;
      values.push_back(power * middle);
      values.push_back(-power * middle);
    }
  }
  std::sort(values.begin(), values.end());
  return Tensor::of<float>({256}, values);
}

}  // namespace farthing::methods
