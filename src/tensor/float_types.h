// Conversions between fp32 and the short floating-point types. All encoders round to nearest, ties to even,
// as the frameworks do.
#pragma once

#include <bit>
#include <cstdint>

namespace farthing {

inline float bf16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

inline std::uint16_t float_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<std::uint16_t>((bits >> 16) | 0x40u);  // keep NaN a NaN
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// Rounds to the nearest bf16 value and returns it as fp32: what one bf16 operation of a framework leaves
/// behind.
inline float round_to_bf16(float value) {
  return bf16_to_float(float_to_bf16(value));
}

/// These two are written with selects instead of branches, so that loops over them become vector code.
inline float fp16_to_float(std::uint16_t bits) {
  const std::uint32_t shifted = static_cast<std::uint32_t>(bits & 0x7fffu) << 13;
  // The exponent is re-biased by multiplication: exact for normal and subnormal values alike.
  const std::uint32_t finite = std::bit_cast<std::uint32_t>(std::bit_cast<float>(shifted) * 0x1p112f);
  const std::uint32_t magnitude = shifted >= 0x0f800000u ? shifted | 0x7f800000u : finite;
  return std::bit_cast<float>(magnitude | static_cast<std::uint32_t>(bits & 0x8000u) << 16);
}

inline std::uint16_t float_to_fp16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
  // Between 0.5 and 1 an fp32 has the step 2^-24 of the subnormal fp16, so the addition rounds.
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) -
                                  std::bit_cast<std::uint32_t>(0.5f);
  std::uint32_t result = magnitude < 0x38800000u ? subnormal : normal;
  result = magnitude >= 0x477ff000u ? 0x7c00u : result;  // 65520 and above round to infinity
  result = magnitude > 0x7f800000u ? 0x7e00u : result;   // NaN
  return static_cast<std::uint16_t>(result | ((bits >> 16) & 0x8000u));
}

inline float round_to_fp16(float value) {
  return fp16_to_float(float_to_fp16(value));
}

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
