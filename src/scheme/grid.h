// The numbers that codes stand for, and rounding onto them. Everything here is selects and arithmetic without
// branches, so that loops over it become vector code.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "scheme/quantization_args.h"
#include "tensor/float_types.h"

namespace farthing::scheme {

/// Rounds to the nearest integer, ties to even, for |value| < 2^22: adding 1.5 * 2^23 leaves no bits for a
/// fraction.
inline float round_half_even(float value) {
  constexpr float kMagic = 0x1.8p23f;
  return (value + kMagic) - kMagic;
}

/// Rounds to the nearest float with kMantissaBits after the leading one, ties to even; exponents below
/// kMinExponent share its step. Keeps the sign of zero. For |value| < 2^100.
template <int kMantissaBits, int kMinExponent>
inline float round_mantissa(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t exponent =
      std::max(magnitude & 0x7f800000u, static_cast<std::uint32_t>(127 + kMinExponent) << 23);
  // The trick of round_half_even, with the magic number moved to where the last kept bit is.
  const float magic =
      1.5f * std::bit_cast<float>(exponent + (static_cast<std::uint32_t>(23 - kMantissaBits) << 23));
  const float rounded = (std::bit_cast<float>(magnitude) + magic) - magic;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(rounded) | (bits & 0x80000000u));
}

/// What one operation in `kType` arithmetic leaves of an exact result: frameworks compute in fp32 and round.
/// For bf16, a NaN must be one that arithmetic makes (its low bits are zero); all others are looked for
/// before.
template <DType kType>
inline float round_to(float value) {
  static_assert(kType == DType::kF32 || kType == DType::kBF16 || kType == DType::kF16);
  if constexpr (kType == DType::kBF16) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    return std::bit_cast<float>((bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u);
  }
  if constexpr (kType == DType::kF16) return round_to_fp16(value);
  return value;
}

/// x / scale + zero point in kArithmetic, rounded onto the grid. Symmetric grids skip the sum.
template <DType kArithmetic, bool kSymmetric, typename Grid>
inline float snap_scaled(float value, float scale, float zero_point, const Grid& grid) {
  const float quotient = round_to<kArithmetic>(value / scale);
  return grid.snap(kSymmetric ? quotient : round_to<kArithmetic>(quotient + zero_point));
}

/// Signed integers of 1 to 8 bits.
struct IntegerGrid {
  using Code = std::int8_t;

  explicit IntegerGrid(int bits)
      : lowest(-static_cast<float>(1 << (bits - 1))), highest(static_cast<float>((1 << (bits - 1)) - 1)) {}

  float lowest, highest;

  float snap(float value) const { return round_half_even(std::min(std::max(value, lowest), highest)); }
  static Code encode(float snapped) { return static_cast<Code>(static_cast<std::int32_t>(snapped)); }
};

namespace internal {
// Bits of a value that lies on the grid: those of the fp32 with another exponent bias, or the multiple of the
// smallest step.
template <int kMantissaBits, int kMinExponent>
inline std::uint8_t encode_float_code(float snapped, int sign_shift) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(snapped);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  constexpr std::uint32_t kSmallestNormal = static_cast<std::uint32_t>(127 + kMinExponent) << 23;
  const std::uint32_t normal = (magnitude - kSmallestNormal + (1u << 23)) >> (23 - kMantissaBits);
  // Added to a number whose last bit is the smallest step, a multiple of that step appears in the last bits.
  constexpr float kStepInLastBit =
      std::bit_cast<float>(static_cast<std::uint32_t>(127 + kMinExponent - kMantissaBits + 23) << 23);
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + kStepInLastBit) &
      ((1u << kMantissaBits) - 1);
  const std::uint32_t is_normal =
      magnitude >= kSmallestNormal ? ~0u : 0u;  // a mask: the compiler would branch around the sum
  const std::uint32_t code = (normal & is_normal) | (subnormal & ~is_normal);
  return static_cast<std::uint8_t>(code | ((bits >> 31) << sign_shift));
}
}  // namespace internal

/// E4M3FN.
struct Fp8Grid {
  using Code = std::uint8_t;
  static constexpr float lowest = -448.0f, highest = 448.0f;

  float snap(float value) const { return round_mantissa<3, -6>(std::min(std::max(value, lowest), highest)); }
  static Code encode(float snapped) { return internal::encode_float_code<3, -6>(snapped, 7); }
};

/// E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.
struct Fp4Grid {
  using Code = std::uint8_t;
  static constexpr float lowest = -6.0f, highest = 6.0f;

  float snap(float value) const { return round_mantissa<1, 0>(std::min(std::max(value, lowest), highest)); }
  static Code encode(float snapped) { return internal::encode_float_code<1, 0>(snapped, 3); }
};

/// Calls `body` with the grid of `args`.
template <typename Body>
auto with_grid(const QuantizationArgs& args, Body&& body) {
  if (args.type == NumberType::kInt) return body(IntegerGrid(args.num_bits));
  if (args.num_bits == 8) return body(Fp8Grid{});
  return body(Fp4Grid{});
}

/// Calls `body.template operator()<kType>()` for the arithmetic of `dtype`.
template <typename Body>
auto with_arithmetic(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::kBF16:
      return body.template operator()<DType::kBF16>();
    case DType::kF16:
      return body.template operator()<DType::kF16>();
    default:
      return body.template operator()<DType::kF32>();
  }
}

}  // namespace farthing::scheme
