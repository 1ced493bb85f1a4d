// Norms, activations and rotations on vectors. Sums over a row are taken in double, in 16 lanes.
#pragma once

#include "kernels/cpu/math-inl.h"

namespace farthing::kernels::FARTHING_ISA_NAMESPACE {

/// Sum of x, or of (x - mean)^2.
inline double sum_of(const float* x, std::int64_t count) {
  constexpr int kParts = kPanelRows / (kLanes / 2);
  DoubleSum16 sums{};
  std::int64_t i = 0;
  for (; i + kPanelRows <= count; i += kPanelRows) {
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p) sums.lanes[p] = sums.lanes[p] + load_double(x + i + p * (kLanes / 2));
  }
  double total = sums.total();
  for (; i < count; ++i) total += x[i];
  return total;
}

inline double sum_of_squares(const float* x, std::int64_t count, double mean) {
  constexpr int kParts = kPanelRows / (kLanes / 2);
  DoubleSum16 sums{};
  std::int64_t i = 0;
  for (; i + kPanelRows <= count; i += kPanelRows) {
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p) {
      const DoubleVec distance = load_double(x + i + p * (kLanes / 2)) - set_double(mean);
      sums.lanes[p] = fma(distance, distance, sums.lanes[p]);
    }
  }
  double total = sums.total();
  for (; i < count; ++i) total = std::fma(x[i] - mean, x[i] - mean, total);
  return total;
}

/// KernelTable::rms_norm.
inline void rms_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight, float eps,
                     float weight_offset, float* y) {
  for (std::int64_t row = 0; row < rows; ++row, x += columns, y += columns) {
    const double mean_square = sum_of_squares(x, columns, 0.0) / static_cast<double>(columns);
    const Vec factor = set(static_cast<float>(1.0 / std::sqrt(mean_square + eps)));
    for (std::int64_t i = 0; i < columns; i += kLanes) {
      const std::int64_t left = std::min<std::int64_t>(kLanes, columns - i);
      Vec value = load_first(x + i, left) * factor;
      if (weight != nullptr) value = value * (load_first(weight + i, left) + set(weight_offset));
      store_first(y + i, value, left);
    }
  }
}

/// KernelTable::layer_norm.
inline void layer_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight,
                       const float* bias, float eps, float* y) {
  for (std::int64_t row = 0; row < rows; ++row, x += columns, y += columns) {
    const double mean = sum_of(x, columns) / static_cast<double>(columns);
    const double variance = sum_of_squares(x, columns, mean) / static_cast<double>(columns);
    const Vec factor = set(static_cast<float>(1.0 / std::sqrt(variance + eps))),
              middle = set(static_cast<float>(mean));
    for (std::int64_t i = 0; i < columns; i += kLanes) {
      const std::int64_t left = std::min<std::int64_t>(kLanes, columns - i);
      Vec value = (load_first(x + i, left) - middle) * factor;
      if (weight != nullptr) value = value * load_first(weight + i, left);
      if (bias != nullptr) value = value + load_first(bias + i, left);
      store_first(y + i, value, left);
    }
  }
}

struct ActivateCall {
  float* x;
  const float* up;  // null: x = f(x); else x = f(x) * up
  std::int64_t count;

  template <typename Function>
  void run() const {
    for (std::int64_t i = 0; i < count; i += kLanes) {
      const std::int64_t left = std::min<std::int64_t>(kLanes, count - i);
      Vec value = Function::apply(load_first(x + i, left));
      if (up != nullptr) value = value * load_first(up + i, left);
      store_first(x + i, value, left);
    }
  }
};

/// KernelTable::activate.
inline void activate(Activation activation, float* x, std::int64_t count) {
  with_activation(activation, ActivateCall{x, nullptr, count});
}

/// KernelTable::gated_activate.
inline void gated_activate(Activation activation, float* gate, const float* up, std::int64_t count) {
  with_activation(activation, ActivateCall{gate, up, count});
}

/// KernelTable::add.
inline void add(float* x, const float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const std::int64_t left = std::min<std::int64_t>(kLanes, count - i);
    store_first(x + i, load_first(x + i, left) + load_first(y + i, left), left);
  }
}

inline void rotate_halves(float* x, std::int64_t half, const float* cosine, const float* sine) {
  for (std::int64_t i = 0; i < half; i += kLanes) {
    const std::int64_t left = std::min<std::int64_t>(kLanes, half - i);
    const Vec a = load_first(x + i, left), b = load_first(x + half + i, left);
    const Vec c = load_first(cosine + i, left), s = load_first(sine + i, left);
    store_first(x + i, fnma(b, s, a * c), left);
    store_first(x + half + i, fma(a, s, b * c), left);
  }
}

inline void rotate_neighbours(float* x, std::int64_t half, const float* cosine, const float* sine) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = std::fma(-b, sine[i], a * cosine[i]);
    x[2 * i + 1] = std::fma(a, sine[i], b * cosine[i]);
  }
}

/// KernelTable::rotate.
inline void rotate(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t rotary_dim,
                   RotaryStyle style, const float* cosine, const float* sine) {
  for (std::int64_t head = 0; head < heads; ++head, x += head_dim) {
    if (style == RotaryStyle::kHalves) {
      rotate_halves(x, rotary_dim / 2, cosine, sine);
    } else {
      rotate_neighbours(x, rotary_dim / 2, cosine, sine);
    }
  }
}

/// Largest of `count` >= 1 values; NaN only if the first is.
inline float largest_of(const float* x, std::int64_t count) {
  Vec top = set(x[0]);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) top = max(load(x + i), top);
  float lanes[kLanes];
  store(lanes, top);
  float result = x[0];
  for (const float lane : lanes) result = lane > result ? lane : result;
  for (; i < count; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

/// KernelTable::log_sum_exp.
inline double log_sum_exp(const float* x, std::int64_t count, std::int64_t* largest) {
  const float top = largest_of(x, count);
  *largest = 0;
  while (*largest < count && x[*largest] != top) ++*largest;
  if (*largest == count) *largest = 0;  // only NaN differs from itself
  if (std::isinf(top)) return top;
  DoubleSum16 sums{};
  for (std::int64_t i = 0; i < count; i += kPanelRows) {
    float powers[kPanelRows];
    for (int lane = 0; lane < kPanelRows; lane += kLanes) {
      const std::int64_t left = std::clamp<std::int64_t>(count - i - lane, 0, kLanes);
      store(powers + lane, zero());
      if (left > 0) store_first(powers + lane, exp(load_first(x + i + lane, left) - set(top)), left);
    }
#pragma GCC unroll 4
    for (int p = 0; p < kPanelRows / (kLanes / 2); ++p)
      sums.lanes[p] = sums.lanes[p] + load_double(powers + p * (kLanes / 2));
  }
  return top + std::log(sums.total());
}

}  // namespace farthing::kernels::FARTHING_ISA_NAMESPACE
