#include "checkpoint/gguf/codebook_blocks.h"

#include <bit>
#include <cstring>

#include "checkpoint/gguf/codebooks.h"
#include "tensor/float_types.h"

namespace farthing::checkpoint::gguf {
namespace {

using Octet = std::uint8_t;

template <typename T>
T load(const Octet* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

float load_half(const Octet* bytes) {
  return fp16_to_float(load<std::uint16_t>(bytes));
}

// The lower half of a byte comes first.
std::uint32_t nibble(const Octet* bytes, int i) {
  return bytes[i / 2] >> 4 * (i % 2) & 15;
}

// Seven signs are stored; the eighth makes the number of minus signs even.
std::uint32_t with_eighth_sign(std::uint32_t seven) {
  return seven | (static_cast<std::uint32_t>(std::popcount(seven)) & 1) << 7;
}

// Bit j of `signs` turns value j around.
void put_signed(const float* word, int length, float scale, std::uint32_t signs, float* y) {
  for (int j = 0; j < length; ++j) {
    const float value = scale * word[j];
    y[j] = (signs >> j & 1) != 0 ? -value : value;
  }
}

void put_shifted(const float* word, float scale, float shift, float* y) {
  for (int j = 0; j < 8; ++j) y[j] = scale * (word[j] + shift);
}

float stepped(float d, std::uint32_t scale, float step) {
  return d * (0.5f + static_cast<float>(scale)) * step;
}

float odd(float d, std::uint32_t scale) {
  return d * static_cast<float>(2 * scale + 1);
}

constexpr float kShift = 0.125f;  // of all values of IQ1, up or down

}  // namespace

// Every 32 values: four codes of a byte, then four times seven signs and the scale in a word.
void decode_iq2_xxs(const std::uint8_t* b, float* y) {
  const Codebook& book = iq2_xxs_codebook();
  const float d = load_half(b);
  for (int s = 0; s < 8; ++s) {
    const Octet* codes = b + 2 + 8 * s;
    const auto rest = load<std::uint32_t>(codes + 4);
    const float scale = stepped(d, rest >> 28, 0.25f);
    for (int i = 0; i < 4; ++i, y += 8)
      put_signed(book.values(codes[i]), 8, scale, with_eighth_sign(rest >> 7 * i & 127), y);
  }
}

// Nine bits of code and seven signs together; a scale for every 16 values.
void decode_iq2_xs(const std::uint8_t* b, float* y) {
  const Codebook& book = iq2_xs_codebook();
  const float d = load_half(b);
  for (int i = 0; i < 32; ++i, y += 8) {
    const auto packed = load<std::uint16_t>(b + 2 + 2 * i);
    put_signed(book.values(packed & 511), 8, stepped(d, nibble(b + 66, i / 2), 0.25f),
               with_eighth_sign(packed >> 9), y);
  }
}

// Ten bits of code in two places, and all eight signs.
void decode_iq2_s(const std::uint8_t* b, float* y) {
  const Codebook& book = iq2_s_codebook();
  const float d = load_half(b);
  const Octet *low = b + 2, *signs = b + 34, *high = b + 66, *scales = b + 74;
  for (int i = 0; i < 32; ++i, y += 8) {
    const std::uint32_t code = low[i] | (high[i / 4] >> 2 * (i % 4) & 3) << 8;
    put_signed(book.values(code), 8, stepped(d, nibble(scales, i / 2), 0.25f), signs[i], y);
  }
}

// As IQ2_XXS, with two codes of four values in place of one of eight.
void decode_iq3_xxs(const std::uint8_t* b, float* y) {
  const Codebook& book = iq3_xxs_codebook();
  const float d = load_half(b);
  for (int s = 0; s < 8; ++s) {
    const Octet* codes = b + 2 + 8 * s;
    const auto rest = load<std::uint32_t>(b + 66 + 4 * s);
    const float scale = stepped(d, rest >> 28, 0.5f);
    for (int i = 0; i < 8; ++i, y += 4) {
      const std::uint32_t signs = with_eighth_sign(rest >> 7 * (i / 2) & 127);
      put_signed(book.values(codes[i]), 4, scale, signs >> 4 * (i % 2), y);
    }
  }
}

void decode_iq3_s(const std::uint8_t* b, float* y) {
  const Codebook& book = iq3_s_codebook();
  const float d = load_half(b);
  const Octet *low = b + 2, *high = b + 66, *signs = b + 74, *scales = b + 106;
  for (int i = 0; i < 64; ++i, y += 4) {
    const std::uint32_t code = low[i] | (high[i / 8] >> i % 8 & 1) << 8;
    put_signed(book.values(code), 4, odd(d, nibble(scales, i / 8)), nibble(signs, i), y);
  }
}

// Of a half word for 32 values: four times three bits of code, the scale, and the way of the shift.
void decode_iq1_s(const std::uint8_t* b, float* y) {
  const Codebook& book = iq1_codebook();
  const float d = load_half(b);
  for (int i = 0; i < 32; ++i, y += 8) {
    const std::uint32_t high = load<std::uint16_t>(b + 34 + 2 * (i / 4));
    const std::uint32_t code = b[2 + i] | (high >> 3 * (i % 4) & 7) << 8;
    put_shifted(book.values(code), odd(d, high >> 12 & 7), (high & 0x8000) != 0 ? -kShift : kShift, y);
  }
}

// A scale of three bits for every 16 values, four to a half word; what is left of these holds the block's
// scale.
void decode_iq1_m(const std::uint8_t* b, float* y) {
  const Codebook& book = iq1_codebook();
  const Octet *low = b, *high = b + 32, *scales = b + 48;
  std::uint32_t d_bits = 0;
  for (int k = 0; k < 4; ++k)
    d_bits |= static_cast<std::uint32_t>(load<std::uint16_t>(scales + 2 * k) >> 12) << 4 * k;
  const float d = fp16_to_float(static_cast<std::uint16_t>(d_bits));
  for (int i = 0; i < 32; ++i, y += 8) {
    const std::uint32_t rest = nibble(high, i);
    const std::uint32_t scale = load<std::uint16_t>(scales + 2 * (i / 8)) >> 3 * (i / 2 % 4) & 7;
    put_shifted(book.values(low[i] | (rest & 7) << 8), odd(d, scale), (rest & 8) != 0 ? -kShift : kShift, y);
  }
}

}  // namespace farthing::checkpoint::gguf
