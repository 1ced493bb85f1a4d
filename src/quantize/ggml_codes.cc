#include "quantize/ggml_codes.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "tensor/float_types.h"

namespace farthing::quantize {
namespace {

constexpr std::int64_t kBlock = 32;

void require(bool holds, std::string_view loss) {
  FARTHING_REQUIRE(holds, Code::kUnsupported, std::string(loss), {});
}

void require_same_grid(const QuantizedMatrix& weight, int lowest, int highest) {
  const bool centred = weight.symmetric || std::ranges::all_of(weight.zero_points.span<std::int8_t>(),
                                                               [](std::int8_t zero) { return zero == 0; });
  require(centred, "zero points have no place in these blocks");
  require(!weight.group_index.defined(), "groups of scattered columns have no place in blocks");
  require(weight.type == NumberType::kInt && weight.global_scale == 0 && !weight.table.defined(),
          "the values are not scale * code");
  require(weight.columns % kBlock == 0 &&
              (weight.group_size % kBlock == 0 || weight.group_size >= weight.columns),
          "groups are not made of whole blocks of 32 columns");
  const auto codes = weight.codes.span<std::int8_t>();
  require(std::ranges::all_of(codes, [=](std::int8_t code) { return code >= lowest && code <= highest; }),
          "codes have more bits than the blocks");
}

// Bits of the scales as fp16.
std::vector<std::uint16_t> exact_halves(const Tensor& scales) {
  const Tensor values = to_float32(scales);
  std::vector<std::uint16_t> halves;
  for (const float value : values.span<float>()) {
    halves.push_back(float_to_fp16(value));
    require(fp16_to_float(halves.back()) == value, "scales do not fit into 16-bit floats");
  }
  return halves;
}

// Codes j and j + 16 share a byte; the fifth bits are the bits of a word before them.
void put_nibbles(const std::int8_t* codes, int middle, std::uint8_t* out) {
  std::uint32_t high = 0;
  for (int i = 0; i < kBlock; ++i) high |= static_cast<std::uint32_t>((codes[i] + middle) >> 4 & 1) << i;
  if (middle == 16) {
    std::memcpy(out, &high, sizeof(high));
    out += sizeof(high);
  }
  for (int j = 0; j < 16; ++j)
    out[j] = static_cast<std::uint8_t>(((codes[j] + middle) & 15) | ((codes[j + 16] + middle) & 15) << 4);
}

}  // namespace

Tensor carry_codes(const checkpoint::gguf::BlockType& type, const QuantizedMatrix& weight,
                   std::span<const std::int64_t> order) {
  const int middle = type.name == "Q4_0" ? 8 : type.name == "Q5_0" ? 16 : 128;
  require_same_grid(weight, -middle, middle - 1);
  const std::vector<std::uint16_t> scales = exact_halves(weight.scales);
  const std::int64_t groups = weight.num_groups(), row_bytes = weight.columns / kBlock * type.bytes;
  Tensor blocks = Tensor::empty(DType::kU8, {weight.rows, row_bytes});
  std::uint8_t* block = blocks.mutable_data<std::uint8_t>();
  for (std::int64_t i = 0; i < weight.rows; ++i) {
    const std::int64_t row = order.empty() ? i : order[static_cast<std::size_t>(i)];
    const std::int8_t* codes = weight.codes.data<std::int8_t>() + row * weight.columns;
    for (std::int64_t c = 0; c < weight.columns; c += kBlock, block += type.bytes) {
      const std::int64_t scale = row / weight.rows_per_scale() * groups + c / weight.group_size;
      std::memcpy(block, &scales[static_cast<std::size_t>(scale)], sizeof(std::uint16_t));
      if (middle == 128)
        std::memcpy(block + 2, codes + c, kBlock);
      else
        put_nibbles(codes + c, middle, block + 2);
    }
  }
  return blocks;
}

}  // namespace farthing::quantize
