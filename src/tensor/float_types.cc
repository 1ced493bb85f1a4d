#include "tensor/float_types.h"

#include <array>
#include <cmath>
#include <limits>

namespace farthing {
namespace {

// Decodes a small IEEE-like float: sign, `exponent_bits`, `mantissa_bits`.
float decode_small(std::uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const std::uint32_t mantissa = bits & ((1u << mantissa_bits) - 1);
  const int exponent = static_cast<int>((bits >> mantissa_bits) & ((1u << exponent_bits) - 1));
  const float sign = (bits >> (exponent_bits + mantissa_bits)) & 1u ? -1.0f : 1.0f;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits);
  return sign *
         std::ldexp(static_cast<float>(mantissa | (1u << mantissa_bits)), exponent - bias - mantissa_bits);
}

// Encodes the magnitude of a finite value without an upper limit; a carry out of the mantissa moves on into
// the exponent.
std::uint32_t encode_small(float magnitude, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  if (magnitude == 0.0f) return 0;
  int exponent = std::max(std::ilogb(magnitude), 1 - bias);
  const float scaled = std::ldexp(magnitude, mantissa_bits - exponent);  // exact; below 2^(mantissa_bits + 1)
  const auto mantissa = static_cast<std::uint32_t>(std::nearbyint(scaled));
  // A subnormal has an exponent field of 0 and no hidden bit: both drop out of the same sum.
  return mantissa + (static_cast<std::uint32_t>(exponent + bias - 1) << mantissa_bits);
}

std::uint32_t sign_of(float value) {
  return std::signbit(value) ? 1u : 0u;
}

template <typename Decode>
constexpr auto table_of(Decode decode) {
  std::array<float, 256> table{};
  for (int i = 0; i < 256; ++i) table[i] = decode(static_cast<std::uint8_t>(i));
  return table;
}

}  // namespace

float fp8_e4m3_to_float(std::uint8_t bits) {
  static const auto table = table_of([](std::uint8_t code) {
    return (code & 0x7f) == 0x7f ? std::numeric_limits<float>::quiet_NaN() : decode_small(code, 4, 3);
  });
  return table[bits];
}

std::uint8_t float_to_fp8_e4m3(float value) {
  const std::uint32_t sign = sign_of(value) << 7;
  if (std::isnan(value)) return static_cast<std::uint8_t>(sign | 0x7fu);
  return static_cast<std::uint8_t>(sign | encode_small(std::min(std::fabs(value), 448.0f), 4, 3));
}

float fp8_e5m2_to_float(std::uint8_t bits) {
  return fp16_to_float(static_cast<std::uint16_t>(bits << 8));
}

std::uint8_t float_to_fp8_e5m2(float value) {
  const std::uint32_t sign = sign_of(value) << 7;
  if (std::isnan(value)) return static_cast<std::uint8_t>(sign | 0x7fu);
  const float magnitude = std::fabs(value);
  if (magnitude >= 61440.0f) return static_cast<std::uint8_t>(sign | 0x7cu);
  return static_cast<std::uint8_t>(sign | encode_small(magnitude, 5, 2));
}

float fp8_e8m0_to_float(std::uint8_t bits) {
  return bits == 0xff ? std::numeric_limits<float>::quiet_NaN()
                      : std::ldexp(1.0f, static_cast<int>(bits) - 127);
}

float fp4_e2m1_to_float(std::uint8_t bits) {
  return decode_small(bits & 0xfu, 2, 1);
}

std::uint8_t float_to_fp4_e2m1(float value) {
  const float magnitude = std::isnan(value) ? 0.0f : std::min(std::fabs(value), 6.0f);
  return static_cast<std::uint8_t>((sign_of(value) << 3) | encode_small(magnitude, 2, 1));
}

}  // namespace farthing
