// Element types, spelled as safetensors spells them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace farthing {

enum class DType : std::uint8_t {
  kBool,
  kU8,
  kI8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kF16,
  kBF16,
  kF32,
  kF64,
  kF8E4M3,  // E4M3FN: largest 448, no infinities
  kF8E5M2,
  kF8E8M0,  // exponent only: 2^(byte - 127)
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kC64,
  kF4,  // E2M1, two per byte
  kF6E2M3,
  kF6E3M2,
};

/// Returns the number of bits of one element.
int dtype_bits(DType dtype);

/// Returns the safetensors name, such as "BF16".
std::string_view dtype_name(DType dtype);

/// Returns the type with this safetensors name, or nothing.
std::optional<DType> parse_dtype(std::string_view name);

/// Returns the word config.json uses ("bfloat16"), for the types that can be a model's dtype; "" for others.
std::string_view torch_dtype_name(DType dtype);
std::optional<DType> parse_torch_dtype(std::string_view name);

/// True for the types that `to_float32` converts.
bool is_floating_point(DType dtype);

}  // namespace farthing
