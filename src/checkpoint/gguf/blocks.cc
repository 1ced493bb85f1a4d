#include "checkpoint/gguf/blocks.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "checkpoint/gguf/codebook_blocks.h"
#include "tensor/float_types.h"

namespace farthing::checkpoint::gguf {
namespace {

using Byte = std::uint8_t;

constexpr int kLong = 256;  // values of a block with sub-blocks

float half(const Byte* bytes) {
  std::uint16_t bits;
  std::memcpy(&bits, bytes, sizeof(bits));
  return fp16_to_float(bits);
}

std::uint32_t word(const Byte* bytes) {
  std::uint32_t bits;
  std::memcpy(&bits, bytes, sizeof(bits));
  return bits;
}

// Short blocks: the value j is in the low half of byte j, the value j + 16 in the high half.
template <typename Value>
void each_nibble(const Byte* bytes, const Value& value) {
  for (int j = 0; j < 16; ++j) {
    value(j, bytes[j] & 15);
    value(j + 16, bytes[j] >> 4);
  }
}

void decode_q4_0(const Byte* b, float* y) {
  const float d = half(b);
  each_nibble(b + 2, [&](int i, int q) { y[i] = d * static_cast<float>(q - 8); });
}

void decode_q4_1(const Byte* b, float* y) {
  const float d = half(b), m = half(b + 2);
  each_nibble(b + 4, [&](int i, int q) { y[i] = d * static_cast<float>(q) + m; });
}

// The fifth bit of value i is bit i of a word.
int with_fifth_bit(int q, std::uint32_t high, int i) {
  return q | static_cast<int>(high >> i & 1) << 4;
}

void decode_q5_0(const Byte* b, float* y) {
  const float d = half(b);
  const std::uint32_t high = word(b + 2);
  each_nibble(b + 6, [&](int i, int q) { y[i] = d * static_cast<float>(with_fifth_bit(q, high, i) - 16); });
}

void decode_q5_1(const Byte* b, float* y) {
  const float d = half(b), m = half(b + 2);
  const std::uint32_t high = word(b + 4);
  each_nibble(b + 8, [&](int i, int q) { y[i] = d * static_cast<float>(with_fifth_bit(q, high, i)) + m; });
}

void decode_q8_0(const Byte* b, float* y) {
  const float d = half(b);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(static_cast<std::int8_t>(b[2 + i]));
}

// Two bits of value e of a long block: halves of 128 values take 32 bytes, four values to a byte.
int two_bits(const Byte* bytes, int e) {
  const int within = e % 128;
  return bytes[e / 128 * 32 + within % 32] >> 2 * (within / 32) & 3;
}

void decode_q2_k(const Byte* b, float* y) {
  const Byte* scales = b;
  const Byte* codes = b + 16;
  const float d = half(b + 80), dmin = half(b + 82);
  for (int e = 0; e < kLong; ++e) {
    const Byte scale = scales[e / 16];
    y[e] = d * static_cast<float>(scale & 15) * static_cast<float>(two_bits(codes, e)) -
           dmin * static_cast<float>(scale >> 4);
  }
}

void decode_q3_k(const Byte* b, float* y) {
  const Byte *mask = b, *codes = b + 32, *scales = b + 96;
  const float d = half(b + 108);
  for (int e = 0; e < kLong; ++e) {
    const int s = e / 16;
    const int low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
    const int scale = (low | (scales[8 + s % 4] >> 2 * (s / 4) & 3) << 4) - 32;
    const bool high = (mask[e % 32] >> e / 32 & 1) != 0;
    y[e] = d * static_cast<float>(scale) * static_cast<float>(two_bits(codes, e) - (high ? 0 : 4));
  }
}

struct ScaleMin {
  float scale, min;
};

// 6-bit pairs of the eight sub-blocks of Q4_K and Q5_K, in 12 bytes.
ScaleMin scale_min(const Byte* s, int j) {
  if (j < 4) return {static_cast<float>(s[j] & 63), static_cast<float>(s[j + 4] & 63)};
  return {static_cast<float>((s[j + 4] & 15) | (s[j - 4] >> 6) << 4),
          static_cast<float>((s[j + 4] >> 4) | (s[j] >> 6) << 4)};
}

// Four bits of value e: 64 values take 32 bytes, the first 32 of them the low halves.
int four_bits(const Byte* bytes, int e) {
  const Byte byte = bytes[e / 64 * 32 + e % 32];
  return e % 64 < 32 ? byte & 15 : byte >> 4;
}

void decode_q4_k(const Byte* b, float* y) {
  const float d = half(b), dmin = half(b + 2);
  for (int e = 0; e < kLong; ++e) {
    const ScaleMin sub = scale_min(b + 4, e / 32);
    y[e] = d * sub.scale * static_cast<float>(four_bits(b + 16, e)) - dmin * sub.min;
  }
}

void decode_q5_k(const Byte* b, float* y) {
  const float d = half(b), dmin = half(b + 2);
  const Byte *high = b + 16, *codes = b + 48;
  for (int e = 0; e < kLong; ++e) {
    const ScaleMin sub = scale_min(b + 4, e / 32);
    const int q = four_bits(codes, e) | (high[e % 32] >> e / 32 & 1) << 4;
    y[e] = d * sub.scale * static_cast<float>(q) - dmin * sub.min;
  }
}

void decode_q6_k(const Byte* b, float* y) {
  const Byte *low = b, *high = b + 128, *scales = b + 192;
  const float d = half(b + 208);
  for (int e = 0; e < kLong; ++e) {
    const int part = e / 128, quarter = e % 128 / 32, l = e % 32;
    const Byte byte = low[64 * part + 32 * (quarter % 2) + l];
    const int q = (quarter < 2 ? byte & 15 : byte >> 4) | (high[32 * part + l] >> 2 * quarter & 3) << 4;
    y[e] = d * static_cast<float>(static_cast<std::int8_t>(scales[e / 16])) * static_cast<float>(q - 32);
  }
}

constexpr std::array<float, 16> kNonLinear = {-127, -104, -83, -65, -49, -35, -22, -10,
                                              1,    13,   25,  38,  53,  69,  89,  113};

void decode_iq4_nl(const Byte* b, float* y) {
  const float d = half(b);
  each_nibble(b + 2, [&](int i, int q) { y[i] = d * kNonLinear[q]; });
}

void decode_iq4_xs(const Byte* b, float* y) {
  const float d = half(b);
  const int scales_high = b[2] | b[3] << 8;
  for (int s = 0; s < 8; ++s) {
    const int scale = (b[4 + s / 2] >> 4 * (s % 2) & 15) | (scales_high >> 2 * s & 3) << 4;
    const float step = d * static_cast<float>(scale - 32);
    each_nibble(b + 8 + 16 * s, [&](int i, int q) { y[32 * s + i] = step * kNonLinear[q]; });
  }
}

// E2M1, doubled.
constexpr std::array<float, 16> kDoubledFp4 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void decode_mxfp4(const Byte* b, float* y) {
  const float d = std::ldexp(1.0f, b[0] - 128);
  each_nibble(b + 1, [&](int i, int q) { y[i] = d * kDoubledFp4[q]; });
}

void decode_nvfp4(const Byte* b, float* y) {
  for (int s = 0; s < 4; ++s) {
    // E4M3 without a sign; what would be the largest code means 0.
    const float scale = b[s] == 0x7F ? 0.0f : fp8_e4m3_to_float(b[s]) * 0.5f;
    for (int j = 0; j < 8; ++j) {
      const Byte byte = b[4 + 8 * s + j];
      y[16 * s + j] = scale * kDoubledFp4[byte & 15];
      y[16 * s + j + 8] = scale * kDoubledFp4[byte >> 4];
    }
  }
}

// Five values of three in a byte, as fractions: a product with a power of three brings one to the top.
int trit(Byte byte, int place) {
  constexpr std::array<int, 5> kPowers = {1, 3, 9, 27, 81};
  return (byte * kPowers[place] & 255) * 3 >> 8;
}

void decode_tq1_0(const Byte* b, float* y) {
  const float d = half(b + 52);
  const auto put = [&](const Byte* bytes, int count, int places) {
    for (int place = 0; place < places; ++place) {
      for (int i = 0; i < count; ++i) *y++ = d * static_cast<float>(trit(bytes[i], place) - 1);
    }
  };
  put(b, 32, 5);
  put(b + 32, 16, 5);
  put(b + 48, 4, 4);
}

void decode_tq2_0(const Byte* b, float* y) {
  const float d = half(b + 64);
  for (int e = 0; e < kLong; ++e) y[e] = d * static_cast<float>(two_bits(b, e) - 1);
}

constexpr BlockType kTypes[] = {
    {2, "Q4_0", 32, 18, decode_q4_0},           {3, "Q4_1", 32, 20, decode_q4_1},
    {6, "Q5_0", 32, 22, decode_q5_0},           {7, "Q5_1", 32, 24, decode_q5_1},
    {8, "Q8_0", 32, 34, decode_q8_0},           {10, "Q2_K", kLong, 84, decode_q2_k},
    {11, "Q3_K", kLong, 110, decode_q3_k},      {12, "Q4_K", kLong, 144, decode_q4_k},
    {13, "Q5_K", kLong, 176, decode_q5_k},      {14, "Q6_K", kLong, 210, decode_q6_k},
    {16, "IQ2_XXS", kLong, 66, decode_iq2_xxs}, {17, "IQ2_XS", kLong, 74, decode_iq2_xs},
    {18, "IQ3_XXS", kLong, 98, decode_iq3_xxs}, {19, "IQ1_S", kLong, 50, decode_iq1_s},
    {20, "IQ4_NL", 32, 18, decode_iq4_nl},      {21, "IQ3_S", kLong, 110, decode_iq3_s},
    {22, "IQ2_S", kLong, 82, decode_iq2_s},     {23, "IQ4_XS", kLong, 136, decode_iq4_xs},
    {29, "IQ1_M", kLong, 56, decode_iq1_m},     {34, "TQ1_0", kLong, 54, decode_tq1_0},
    {35, "TQ2_0", kLong, 66, decode_tq2_0},     {39, "MXFP4", 32, 17, decode_mxfp4},
    {40, "NVFP4", 64, 36, decode_nvfp4},
};

}  // namespace

const BlockType* find_block_type(std::uint32_t id) {
  for (const BlockType& type : kTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

const BlockType* find_block_type(std::string_view name) {
  for (const BlockType& type : kTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

}  // namespace farthing::checkpoint::gguf
