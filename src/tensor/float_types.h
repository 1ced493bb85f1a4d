// Conversions between fp32 and the short floating-point types. All encoders round to nearest, ties to even,
// as the frameworks do.
#pragma once

#include <bit>
#include <cstdint>

namespace farthing {

inline float bf16_to_float(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

inline std::uint16_t float_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);  // keep NaN a NaN
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// Rounds to the nearest bf16 value and returns it as fp32: what one bf16 operation of a framework leaves behind.
inline float round_to_bf16(float value) { return bf16_to_float(float_to_bf16(value)); }

float fp16_to_float(std::uint16_t bits);
std::uint16_t float_to_fp16(float value);
inline float round_to_fp16(float value) { return fp16_to_float(float_to_fp16(value)); }

/// E4M3FN: bias 7, largest 448, 0x7f and 0xff are NaN. The encoder clamps to +-448.
float fp8_e4m3_to_float(std::uint8_t bits);
std::uint8_t float_to_fp8_e4m3(float value);

/// E5M2: bias 15, with infinities. The encoder overflows to infinity as torch does.
float fp8_e5m2_to_float(std::uint8_t bits);
std::uint8_t float_to_fp8_e5m2(float value);

/// E8M0: 2^(bits - 127); 0xff is NaN.
float fp8_e8m0_to_float(std::uint8_t bits);

/// E2M1 in the low four bits: sign, then {0, 0.5, 1, 1.5, 2, 3, 4, 6}. The encoder clamps to +-6.
float fp4_e2m1_to_float(std::uint8_t bits);
std::uint8_t float_to_fp4_e2m1(float value);

}  // namespace farthing
