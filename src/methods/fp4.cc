// FP4 of bitsandbytes: sign, two bits of exponent and one of mantissa, in twelfths. Not the E2M1 of NVFP4.
#include <array>

#include "methods/blockwise.h"

namespace farthing::methods {
namespace {

// Magnitudes by the low three bits of the code; bit 3 is the sign.
constexpr std::array<float, 8> kMagnitudes = {0.0f,        0.0052083333f, 0.66666667f, 1.0f,
                                              0.33333333f, 0.5f,          0.16666667f, 0.25f};

// Codes in the order of their values. Two of them stand for zero: small values take the one on the far side.
constexpr std::array<std::uint8_t, 16> kAscending = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};

float value_of(std::uint8_t code) {
  return code < 8 ? kMagnitudes[code] : -kMagnitudes[code - 8];
}

}  // namespace

Tensor fp4_table() {
  Tensor table = Tensor::empty(DType::kF32, {16});
  for (std::uint8_t code = 0; code < 16; ++code) table.mutable_data<float>()[code] = value_of(code) + 0.0f;
  return table;
}

void fp4_codes(const float* values, std::int64_t count, std::uint8_t* codes) {
  // A value above the first n of these middles takes the code of place n; a tie goes to the lower value.
  std::array<float, 15> middles;
  for (std::size_t i = 0; i < middles.size(); ++i)
    middles[i] = (value_of(kAscending[i]) + value_of(kAscending[i + 1])) / 2.0f;
  for (std::int64_t i = 0; i < count; ++i) {
    std::size_t place = 0;
    for (const float middle : middles) place += values[i] > middle;
    codes[i] = kAscending[place];
  }
}

}  // namespace farthing::methods
