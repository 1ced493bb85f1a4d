// The searches behind ggml's block formats: scales (and minima) for N values such that the weighted squared
// error is small. Candidates around the obvious scale are rounded and refitted by least squares, the best of
// them is improved by alternating between codes and scales.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "tensor/float_types.h"

namespace farthing::methods::ggml {

/// Nearest whole number, ties to even; for |x| below 2^22. Loops over it become vector code.
inline float nearest(float x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: the sum has no fraction bits
  return x + kMagic - kMagic;
}

/// The closest finite fp16 value, which is what a file holds.
inline float storable(float x) {
  return round_to_fp16(std::clamp(x, -65504.0f, 65504.0f));
}

/// x is about scale * code - min.
struct ScaleMin {
  float scale = 0, min = 0;
};

/// Sums over which least squares need nothing else.
struct Moments {
  float w = 0, q = 0, qq = 0, x = 0, qx = 0;
};

/// Codes 0 to `largest` that lie nearest to (x + min) * inverse.
template <int N>
void round_codes(const float* x, float inverse, float min, float largest, float* codes) {
  for (int i = 0; i < N; ++i) codes[i] = std::clamp(nearest((x[i] + min) * inverse), 0.0f, largest);
}

template <int N>
float error_of(const float* x, const float* w, const float* codes, ScaleMin fit) {
  float sum = 0;
  for (int i = 0; i < N; ++i) {
    const float difference = fit.scale * codes[i] - fit.min - x[i];
    sum += w[i] * difference * difference;
  }
  return sum;
}

/// The best scale and min for given codes. `negative_min` allows a min below 0.
template <int N>
ScaleMin least_squares(const float* x, const float* w, const float* codes, bool negative_min) {
  Moments sum;
  for (int i = 0; i < N; ++i) {
    sum.w += w[i];
    sum.q += w[i] * codes[i];
    sum.qq += w[i] * codes[i] * codes[i];
    sum.x += w[i] * x[i];
    sum.qx += w[i] * codes[i] * x[i];
  }
  const float determinant = sum.w * sum.qq - sum.q * sum.q;
  if (determinant > 0) {
    const ScaleMin fit = {(sum.w * sum.qx - sum.x * sum.q) / determinant,
                          (sum.q * sum.qx - sum.qq * sum.x) / determinant};
    if (fit.min >= 0 || negative_min) return fit;
  }
  return {sum.qq > 0 ? sum.qx / sum.qq : 0, 0};
}

/// Finds scale and min for N values with codes 0 to `largest`.
template <int N>
ScaleMin fit_scale_min(const float* x, const float* w, float largest, bool negative_min = false) {
  constexpr int kCandidates = 24, kPasses = 4;
  constexpr float kStep = 0.08f;
  const auto [lowest, highest] = std::minmax_element(x, x + N);
  const float low = negative_min ? *lowest : std::min(*lowest, 0.0f), high = *highest;
  if (!(high > low)) return {0, -low};
  std::array<float, N> codes;
  ScaleMin best = {(high - low) / largest, -low};
  round_codes<N>(x, 1 / best.scale, best.min, largest, codes.data());
  float best_error = error_of<N>(x, w, codes.data(), best);
  const auto improve = [&](float inverse, float min) {
    round_codes<N>(x, inverse, min, largest, codes.data());
    const ScaleMin fit = least_squares<N>(x, w, codes.data(), negative_min);
    const float error = error_of<N>(x, w, codes.data(), fit);
    if (!(error < best_error)) return false;
    best = fit;
    best_error = error;
    return true;
  };
  for (int i = 0; i < kCandidates; ++i)
    improve((largest + kStep * static_cast<float>(i - (kCandidates / 2))) / (high - low), -low);
  for (int pass = 0; pass < kPasses && best.scale > 0; ++pass) {
    if (!improve(1 / best.scale, best.min)) break;
  }
  return best;
}

/// Codes are whole numbers from `lowest` to `highest`.
struct EvenCodes {
  float lowest, highest;
  float operator()(float x) const { return std::clamp(nearest(x), lowest, highest); }
  /// The code of the largest magnitude, which the extreme value gets.
  float extreme() const { return lowest; }
  /// By how much candidates for it differ.
  float step() const { return 0.1f; }
};

/// Finds d such that x is about d * code; `codes` turns x / d into a code.
template <int N, typename Codes>
float fit_scale(const float* x, const float* w, const Codes& codes) {
  constexpr int kCandidates = 20, kPasses = 3;
  const float extreme =
      *std::max_element(x, x + N, [](float a, float b) { return std::abs(a) < std::abs(b); });
  if (extreme == 0) return 0;
  float best = 0, best_gain = 0;  // the squared error is sum w x x minus the gain
  const auto improve = [&](float inverse) {
    float qx = 0, qq = 0;
    for (int i = 0; i < N; ++i) {
      const float q = codes(x[i] * inverse);
      qx += w[i] * q * x[i];
      qq += w[i] * q * q;
    }
    if (!(qq > 0) || !(qx * qx > best_gain * qq)) return false;
    best = qx / qq;
    best_gain = qx * best;
    return true;
  };
  for (int i = 0; i < kCandidates; ++i) {
    const float stretch = codes.step() * static_cast<float>(i - (kCandidates / 2));
    improve((codes.extreme() - stretch) / extreme);
    improve((stretch - codes.extreme()) / extreme);  // the other sign: one code fewer, sometimes better
  }
  for (int pass = 0; pass < kPasses && best != 0; ++pass) {
    if (!improve(1 / best)) break;
  }
  return best;
}

}  // namespace farthing::methods::ggml
