#include "methods/ggml_long_blocks.h"

#include <array>
#include <cstring>
#include <limits>

#include "methods/ggml_fit.h"
#include "methods/ggml_nonlinear.h"

namespace farthing::methods::ggml {
namespace {

using Byte = std::uint8_t;

constexpr int kValues = 256;
// How often the shared numbers are refitted to the codes, at most; each time only if the error falls.
constexpr int kRefits = 3;

void put_half(Byte* at, float value) {
  const std::uint16_t bits = float_to_fp16(value);
  std::memcpy(at, &bits, sizeof(bits));
}

// Values as d * scale * code - dmin * min, with codes 0 to kCodes, scales and minima 0 to kScales in
// sub-blocks of N values.
template <int N, int kCodes, int kScales>
class AffineBlock {
 public:
  AffineBlock(const float* x, const float* w) : x_(x), w_(w) {
    float largest_scale = 0, largest_min = 0;
    for (int s = 0; s < kSubBlocks; ++s) {
      ideal_[s] = fit_scale_min<N>(x + N * s, w + N * s, kCodes);
      largest_scale = std::max(largest_scale, ideal_[s].scale);
      largest_min = std::max(largest_min, ideal_[s].min);
    }
    best_ = choose(storable(largest_scale / kScales), storable(largest_min / kScales));
    for (int i = 0; i < kRefits; ++i) {
      const State refitted = refit(best_);
      if (!(refitted.error < best_.error)) break;
      best_ = refitted;
    }
  }

  float d() const { return best_.d; }
  float dmin() const { return best_.dmin; }
  int scale(int sub_block) const { return best_.scales[sub_block]; }
  int min(int sub_block) const { return best_.mins[sub_block]; }
  int code(int value) const { return static_cast<int>(best_.codes[value]); }

 private:
  static constexpr int kSubBlocks = kValues / N;

  struct State {
    float d = 0, dmin = 0, error = 0;
    std::array<int, kSubBlocks> scales, mins;
    std::array<float, kValues> codes;
  };

  // Whole numbers and codes for given shared numbers: of those around the ideal ones, the pair with the
  // smallest error.
  State choose(float d, float dmin) const {
    State state{.d = d, .dmin = dmin};
    for (int s = 0; s < kSubBlocks; ++s) {
      const float middle_scale = d > 0 ? nearest(ideal_[s].scale / d) : 0;
      const float middle_min = dmin > 0 ? nearest(ideal_[s].min / dmin) : 0;
      float least = std::numeric_limits<float>::infinity();
      std::array<float, N> codes;
      for (int i = 0; i < 9; ++i) {
        const float scale = std::clamp(middle_scale + static_cast<float>(i % 3 - 1), 0.0f, float{kScales});
        const float min = std::clamp(middle_min + static_cast<float>(i / 3 - 1), 0.0f, float{kScales});
        const ScaleMin trial = {d * scale, dmin * min};
        round_codes<N>(x_ + N * s, trial.scale > 0 ? 1 / trial.scale : 0, trial.min, kCodes, codes.data());
        const float error = error_of<N>(x_ + N * s, w_ + N * s, codes.data(), trial);
        if (!(error < least)) continue;
        least = error;
        state.scales[s] = static_cast<int>(scale);
        state.mins[s] = static_cast<int>(min);
        std::copy(codes.begin(), codes.end(), state.codes.begin() + N * s);
      }
      state.error += least;
    }
    return state;
  }

  // The shared numbers by least squares over what was chosen, and what is best for them in turn.
  State refit(const State& state) const {
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    for (int i = 0; i < kValues; ++i) {
      const double a = state.scales[i / N] * static_cast<double>(state.codes[i]), b = state.mins[i / N];
      aa += w_[i] * a * a;
      ab += w_[i] * a * b;
      bb += w_[i] * b * b;
      ax += w_[i] * a * x_[i];
      bx += w_[i] * b * x_[i];
    }
    const double determinant = aa * bb - ab * ab;
    if (determinant > 1e-9 * aa * bb) {
      const double d = (ax * bb - bx * ab) / determinant, dmin = (ax * ab - bx * aa) / determinant;
      if (d > 0 && dmin >= 0)
        return choose(storable(static_cast<float>(d)), storable(static_cast<float>(dmin)));
    }
    return aa > 0 && ax > 0 && bb == 0 ? choose(storable(static_cast<float>(ax / aa)), 0) : state;
  }

  const float* x_;
  const float* w_;
  std::array<ScaleMin, kSubBlocks> ideal_;
  State best_;
};

// Values as d * scale * code, with signed scales from kLowestScale to kHighestScale.
template <int N, int kLowestScale, int kHighestScale, typename Codes>
class SignedBlock {
 public:
  SignedBlock(const float* x, const float* w, Codes codes) : x_(x), w_(w), to_code_(codes) {
    float extreme = 0;
    for (int s = 0; s < kSubBlocks; ++s) {
      ideal_[s] = fit_scale<N>(x + N * s, w + N * s, to_code_);
      if (std::abs(ideal_[s]) > std::abs(extreme)) extreme = ideal_[s];
    }
    best_ = choose(storable(extreme / kLowestScale));
    for (int i = 0; i < kRefits; ++i) {
      const State refitted = refit(best_);
      if (!(refitted.error < best_.error)) break;
      best_ = refitted;
    }
  }

  float d() const { return best_.d; }
  int scale(int sub_block) const { return best_.scales[sub_block]; }
  float code(int value) const { return best_.codes[value]; }

 private:
  static constexpr int kSubBlocks = kValues / N;

  struct State {
    float d = 0, error = 0;
    std::array<int, kSubBlocks> scales;
    std::array<float, kValues> codes;
  };

  State choose(float d) const {
    State state{.d = d};
    for (int s = 0; s < kSubBlocks; ++s) {
      const float middle = d != 0 ? nearest(ideal_[s] / d) : 0;
      float least = std::numeric_limits<float>::infinity();
      std::array<float, N> codes;
      for (int i = -1; i <= 1; ++i) {
        const float scale =
            std::clamp(middle + static_cast<float>(i), float{kLowestScale}, float{kHighestScale});
        const ScaleMin trial = {d * scale, 0};
        const float inverse = trial.scale != 0 ? 1 / trial.scale : 0;
        for (int j = 0; j < N; ++j) codes[j] = to_code_(x_[N * s + j] * inverse);
        const float error = error_of<N>(x_ + N * s, w_ + N * s, codes.data(), trial);
        if (!(error < least)) continue;
        least = error;
        state.scales[s] = static_cast<int>(scale);
        std::copy(codes.begin(), codes.end(), state.codes.begin() + N * s);
      }
      state.error += least;
    }
    return state;
  }

  State refit(const State& state) const {
    double aa = 0, ax = 0;
    for (int i = 0; i < kValues; ++i) {
      const double a = state.scales[i / N] * static_cast<double>(state.codes[i]);
      aa += w_[i] * a * a;
      ax += w_[i] * a * x_[i];
    }
    return aa > 0 ? choose(storable(static_cast<float>(ax / aa))) : state;
  }

  const float* x_;
  const float* w_;
  Codes to_code_;
  std::array<float, kSubBlocks> ideal_;
  State best_;
};

// Two bits of value e, as blocks.cc reads them.
void put_two_bits(Byte* bytes, int e, int code) {
  const int within = e % 128;
  bytes[e / 128 * 32 + within % 32] |= static_cast<Byte>(code << 2 * (within / 32));
}

void put_four_bits(Byte* bytes, int e, int code) {
  bytes[e / 64 * 32 + e % 32] |= static_cast<Byte>(e % 64 < 32 ? code : code << 4);
}

// Eight pairs of 6 bits in 12 bytes.
void put_scale_min(Byte* s, int j, int scale, int min) {
  if (j < 4) {
    s[j] |= static_cast<Byte>(scale);
    s[j + 4] |= static_cast<Byte>(min);
    return;
  }
  s[j + 4] = static_cast<Byte>((scale & 15) | (min & 15) << 4);
  s[j - 4] |= static_cast<Byte>((scale >> 4) << 6);
  s[j] |= static_cast<Byte>((min >> 4) << 6);
}

}  // namespace

void encode_q2_k(const float* x, const float* w, Byte* block) {
  const AffineBlock<16, 3, 15> fit(x, w);
  std::memset(block, 0, 84);
  for (int s = 0; s < 16; ++s) block[s] = static_cast<Byte>(fit.scale(s) | fit.min(s) << 4);
  for (int e = 0; e < kValues; ++e) put_two_bits(block + 16, e, fit.code(e));
  put_half(block + 80, fit.d());
  put_half(block + 82, fit.dmin());
}

void encode_q3_k(const float* x, const float* w, Byte* block) {
  const SignedBlock<16, -32, 31, EvenCodes> fit(x, w, {-4, 3});
  std::memset(block, 0, 110);
  Byte *mask = block, *codes = block + 32, *scales = block + 96;
  for (int e = 0; e < kValues; ++e) {
    const int code = static_cast<int>(fit.code(e)) + 4;
    put_two_bits(codes, e, code & 3);
    mask[e % 32] |= static_cast<Byte>((code >> 2) << e / 32);
  }
  for (int s = 0; s < 16; ++s) {
    const int scale = fit.scale(s) + 32;
    scales[s % 8] |= static_cast<Byte>(s < 8 ? scale & 15 : (scale & 15) << 4);
    scales[8 + s % 4] |= static_cast<Byte>((scale >> 4) << 2 * (s / 4));
  }
  put_half(block + 108, fit.d());
}

void encode_q4_k(const float* x, const float* w, Byte* block) {
  const AffineBlock<32, 15, 63> fit(x, w);
  std::memset(block, 0, 144);
  put_half(block, fit.d());
  put_half(block + 2, fit.dmin());
  for (int s = 0; s < 8; ++s) put_scale_min(block + 4, s, fit.scale(s), fit.min(s));
  for (int e = 0; e < kValues; ++e) put_four_bits(block + 16, e, fit.code(e));
}

void encode_q5_k(const float* x, const float* w, Byte* block) {
  const AffineBlock<32, 31, 63> fit(x, w);
  std::memset(block, 0, 176);
  put_half(block, fit.d());
  put_half(block + 2, fit.dmin());
  for (int s = 0; s < 8; ++s) put_scale_min(block + 4, s, fit.scale(s), fit.min(s));
  for (int e = 0; e < kValues; ++e) {
    put_four_bits(block + 48, e, fit.code(e) & 15);
    block[16 + e % 32] |= static_cast<Byte>((fit.code(e) >> 4) << e / 32);
  }
}

void encode_q6_k(const float* x, const float* w, Byte* block) {
  const SignedBlock<16, -128, 127, EvenCodes> fit(x, w, {-32, 31});
  std::memset(block, 0, 210);
  Byte *low = block, *high = block + 128, *scales = block + 192;
  for (int e = 0; e < kValues; ++e) {
    const int code = static_cast<int>(fit.code(e)) + 32, part = e / 128, quarter = e % 128 / 32, l = e % 32;
    low[64 * part + 32 * (quarter % 2) + l] |= static_cast<Byte>(quarter < 2 ? code & 15 : (code & 15) << 4);
    high[32 * part + l] |= static_cast<Byte>((code >> 4) << 2 * quarter);
  }
  for (int s = 0; s < 16; ++s) scales[s] = static_cast<Byte>(fit.scale(s));
  put_half(block + 208, fit.d());
}

void encode_iq4_xs(const float* x, const float* w, Byte* block) {
  const SignedBlock<32, -32, 31, NonLinearCodes> fit(x, w, {});
  std::memset(block, 0, 136);
  put_half(block, fit.d());
  int scales_high = 0;
  for (int s = 0; s < 8; ++s) {
    const int scale = fit.scale(s) + 32;
    block[4 + s / 2] |= static_cast<Byte>((scale & 15) << 4 * (s % 2));
    scales_high |= (scale >> 4) << 2 * s;
    for (int j = 0; j < 16; ++j) {
      block[8 + 16 * s + j] = static_cast<Byte>(NonLinearCodes::index_of(fit.code(32 * s + j)) |
                                                NonLinearCodes::index_of(fit.code(32 * s + j + 16)) << 4);
    }
  }
  block[2] = static_cast<Byte>(scales_high);
  block[3] = static_cast<Byte>(scales_high >> 8);
}

}  // namespace farthing::methods::ggml
