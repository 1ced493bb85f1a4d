#include "methods/ggml_blocks.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "methods/ggml_fit.h"
#include "methods/ggml_long_blocks.h"
#include "methods/ggml_nonlinear.h"

namespace farthing::methods {
namespace {

using checkpoint::gguf::BlockType;
using ggml::EvenCodes;
using ggml::NonLinearCodes;
using ggml::ScaleMin;
using ggml::storable;
using Byte = std::uint8_t;

constexpr int kShort = 32;
// Columns that calibration hardly used still count this share of the mean: their weights must not become
// noise.
constexpr float kLeastImportance = 1e-3f;

void put_half(Byte* at, float value) {
  const std::uint16_t bits = float_to_fp16(value);
  std::memcpy(at, &bits, sizeof(bits));
}

// Values j and j + 16 share a byte; fifth bits, where there are any, are the bits of a word before.
void put_codes(const int* codes, bool has_fifth_bits, Byte* out) {
  std::uint32_t high = 0;
  for (int i = 0; i < kShort; ++i) high |= static_cast<std::uint32_t>(codes[i] >> 4) << i;
  if (has_fifth_bits) {
    std::memcpy(out, &high, sizeof(high));
    out += sizeof(high);
  }
  for (int j = 0; j < 16; ++j) out[j] = static_cast<Byte>((codes[j] & 15) | (codes[j + 16] & 15) << 4);
}

float extreme_of(const float* x) {
  float extreme = 0;
  for (int i = 0; i < kShort; ++i) extreme = std::abs(x[i]) > std::abs(extreme) ? x[i] : extreme;
  return extreme;
}

// x is about d * (code - kCodes / 2). Without weights the extreme value gets the code 0, and every
// operation is rounded to single precision, as in the reference package.
template <int kCodes>
void encode_centred(const float* x, const float* w, Byte* block) {
  int codes[kShort];
  constexpr int kMiddle = kCodes / 2;
  float d;
  if (w == nullptr) {
    d = extreme_of(x) / -kMiddle;
    const float inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < kShort; ++i)
      codes[i] = std::clamp(static_cast<int>(x[i] * inverse + (kMiddle + 0.5f)), 0, kCodes - 1);
  } else {
    const EvenCodes to_code = {-kMiddle, kMiddle - 1};
    d = storable(ggml::fit_scale<kShort>(x, w, to_code));
    const float inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < kShort; ++i) codes[i] = static_cast<int>(to_code(x[i] * inverse)) + kMiddle;
  }
  put_half(block, d);
  put_codes(codes, kCodes > 16, block + 2);
}

// x is about d * code + m.
template <int kCodes>
void encode_affine(const float* x, const float* w, Byte* block) {
  int codes[kShort];
  float d, m;
  if (w == nullptr) {
    const auto [low, high] = std::minmax_element(x, x + kShort);
    m = *low;
    d = (*high - *low) / (kCodes - 1);
    const float inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < kShort; ++i)
      codes[i] = std::clamp(static_cast<int>((x[i] - m) * inverse + 0.5f), 0, kCodes - 1);
  } else {
    const ScaleMin fit = ggml::fit_scale_min<kShort>(x, w, kCodes - 1, true);
    d = storable(fit.scale);
    m = storable(-fit.min);
    float rounded[kShort];
    ggml::round_codes<kShort>(x, d != 0 ? 1 / d : 0, -m, kCodes - 1, rounded);
    for (int i = 0; i < kShort; ++i) codes[i] = static_cast<int>(rounded[i]);
  }
  put_half(block, d);
  put_half(block + 2, m);
  put_codes(codes, kCodes > 16, block + 4);
}

void encode_q8_0(const float* x, const float*, Byte* block) {
  const float d = std::abs(extreme_of(x)) / 127;
  const float inverse = d != 0 ? 1 / d : 0;
  put_half(block, d);
  for (int i = 0; i < kShort; ++i)
    block[2 + i] = static_cast<Byte>(static_cast<std::int8_t>(std::round(x[i] * inverse)));
}

void encode_iq4_nl(const float* x, const float* w, Byte* block) {
  const NonLinearCodes to_code;
  const float d = storable(ggml::fit_scale<kShort>(x, w, to_code));
  const float inverse = d != 0 ? 1 / d : 0;
  int codes[kShort];
  for (int i = 0; i < kShort; ++i) codes[i] = NonLinearCodes::index_of(to_code(x[i] * inverse));
  put_half(block, d);
  put_codes(codes, false, block + 2);
}

struct Quantizer {
  std::string_view type;
  void (*encode)(const float* x, const float* w, Byte* block);
  bool needs_weights;  // searches also without importance; then all weights are 1
};

constexpr Quantizer kQuantizers[] = {
    {"Q4_0", encode_centred<16>, false}, {"Q4_1", encode_affine<16>, false},
    {"Q5_0", encode_centred<32>, false}, {"Q5_1", encode_affine<32>, false},
    {"Q8_0", encode_q8_0, false},        {"Q2_K", ggml::encode_q2_k, true},
    {"Q3_K", ggml::encode_q3_k, true},   {"Q4_K", ggml::encode_q4_k, true},
    {"Q5_K", ggml::encode_q5_k, true},   {"Q6_K", ggml::encode_q6_k, true},
    {"IQ4_NL", encode_iq4_nl, true},     {"IQ4_XS", ggml::encode_iq4_xs, true},
};

const Quantizer* find_quantizer(const BlockType& type) {
  for (const Quantizer& known : kQuantizers) {
    if (known.type == type.name) return &known;
  }
  return nullptr;
}

// Importance with a mean of 1 and a floor; all ones where nothing is known and the quantizer wants weights.
std::vector<float> weights_of(const Quantizer& quantizer, std::span<const float> importance,
                              std::int64_t columns) {
  std::vector<float> weights(importance.begin(), importance.end());
  double sum = 0;
  for (const float value : weights) sum += value;
  if (!(sum > 0) || !std::isfinite(sum))
    return quantizer.needs_weights ? std::vector<float>(static_cast<std::size_t>(columns), 1.0f)
                                   : std::vector<float>();
  const auto scale = static_cast<float>(static_cast<double>(columns) / sum);
  for (float& value : weights) value = std::max(value * scale, kLeastImportance);
  return weights;
}

// Calls `visit(i, values)` with every row of `weight`, row i being row order[i].
template <typename Visit>
void for_each_row(const Tensor& weight, std::span<const std::int64_t> order, ThreadPool& pool,
                  const Visit& visit) {
  const std::int64_t columns = weight.dim(1);
  pool.parallel_for(weight.dim(0), 4, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(columns));
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = order.empty() ? i : order[static_cast<std::size_t>(i)];
      copy_as_float32(weight, row * columns, columns, values.data());
      visit(i, values.data());
    }
  });
}

}  // namespace

bool can_encode(const BlockType& type) {
  return find_quantizer(type) != nullptr;
}

Tensor encode_blocks(const BlockType& type, const Tensor& weight, std::span<const float> importance,
                     std::span<const std::int64_t> order, ThreadPool& pool) {
  const Quantizer* quantizer = find_quantizer(type);
  const std::int64_t rows = weight.dim(0), columns = weight.dim(1);
  FARTHING_CHECK(quantizer != nullptr && columns % type.values == 0, "{} of {} columns", type.name, columns);
  FARTHING_CHECK(importance.empty() || static_cast<std::int64_t>(importance.size()) == columns);
  FARTHING_REQUIRE(all_finite(weight), Code::kNumeric, "a weight is not finite", {});
  const std::vector<float> weights = weights_of(*quantizer, importance, columns);
  const std::int64_t row_bytes = columns / type.values * type.bytes;
  Tensor blocks = Tensor::empty(DType::kU8, {rows, row_bytes});
  Byte* out = blocks.mutable_data<Byte>();
  for_each_row(weight, order, pool, [&](std::int64_t i, const float* values) {
    Byte* block = out + i * row_bytes;
    for (std::int64_t c = 0; c < columns; c += type.values, block += type.bytes)
      quantizer->encode(values + c, weights.empty() ? nullptr : weights.data() + c, block);
  });
  return blocks;
}

BlockError measure_blocks(const BlockType& type, const Tensor& weight, const Tensor& blocks,
                          std::span<const float> importance, std::span<const std::int64_t> order,
                          ThreadPool& pool) {
  const std::int64_t columns = weight.dim(1), row_bytes = blocks.dim(1);
  std::vector<BlockError> of_row(static_cast<std::size_t>(weight.dim(0)));
  for_each_row(weight, order, pool, [&](std::int64_t i, const float* values) {
    std::vector<float> decoded(static_cast<std::size_t>(type.values));
    const Byte* block = blocks.data<Byte>() + i * row_bytes;
    BlockError& sum = of_row[static_cast<std::size_t>(i)];
    for (std::int64_t c = 0; c < columns; c += type.values, block += type.bytes) {
      type.decode(block, decoded.data());
      for (std::int64_t j = 0; j < type.values; ++j) {
        const double value = values[c + j], difference = value - decoded[static_cast<std::size_t>(j)];
        const double weight_of = importance.empty() ? 1 : importance[static_cast<std::size_t>(c + j)];
        sum.error += weight_of * difference * difference;
        sum.energy += weight_of * value * value;
      }
    }
  });
  BlockError total{.count = weight.numel()};
  for (const BlockError& row : of_row) {  // in order: the same sum for any number of threads
    total.error += row.error;
    total.energy += row.energy;
  }
  return total;
}

}  // namespace farthing::methods
