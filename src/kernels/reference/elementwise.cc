#include "kernels/reference/elementwise.h"

#include <cmath>
#include <numbers>

namespace farthing::kernels::reference {
namespace {

double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

double apply(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
    case Activation::kGeluTanh:  // Hendrycks and Gimpel, 2016, arXiv 1606.08415
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::kQuickGelu:
      return x * sigmoid(1.702 * x);
    case Activation::kSilu:
      return x * sigmoid(x);
    case Activation::kRelu:
      return x < 0.0 ? 0.0 : x;
    case Activation::kReluSquared:
      return x < 0.0 ? 0.0 : x * x;
  }
  return x;
}

}  // namespace

void rms_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight, float eps,
              float weight_offset, float* y) {
  for (std::int64_t row = 0; row < rows; ++row, x += columns, y += columns) {
    double squares = 0.0;
    for (std::int64_t i = 0; i < columns; ++i) squares += static_cast<double>(x[i]) * x[i];
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(columns) + eps);
    for (std::int64_t i = 0; i < columns; ++i) {
      const double scale = weight == nullptr ? 1.0 : static_cast<double>(weight[i]) + weight_offset;
      y[i] = static_cast<float>(x[i] * factor * scale);
    }
  }
}

void layer_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight,
                const float* bias, float eps, float* y) {
  for (std::int64_t row = 0; row < rows; ++row, x += columns, y += columns) {
    double sum = 0.0, squares = 0.0;
    for (std::int64_t i = 0; i < columns; ++i) sum += x[i];
    const double mean = sum / static_cast<double>(columns);
    for (std::int64_t i = 0; i < columns; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(columns) + eps);
    for (std::int64_t i = 0; i < columns; ++i) {
      const double scale = weight == nullptr ? 1.0 : weight[i];
      const double shift = bias == nullptr ? 0.0 : bias[i];
      y[i] = static_cast<float>((x[i] - mean) * factor * scale + shift);
    }
  }
}

void activate(Activation activation, float* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(apply(activation, x[i]));
}

void gated_activate(Activation activation, float* gate, const float* up, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) gate[i] = static_cast<float>(apply(activation, gate[i]) * up[i]);
}

void add(float* x, const float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) x[i] += y[i];
}

void rotate(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t rotary_dim, RotaryStyle style,
            const float* cosine, const float* sine) {
  const std::int64_t half = rotary_dim / 2;
  for (std::int64_t head = 0; head < heads; ++head, x += head_dim) {
    for (std::int64_t i = 0; i < half; ++i) {
      float& a = style == RotaryStyle::kHalves ? x[i] : x[2 * i];
      float& b = style == RotaryStyle::kHalves ? x[i + half] : x[2 * i + 1];
      const double c = cosine[i], s = sine[i], old_a = a, old_b = b;
      a = static_cast<float>(old_a * c - old_b * s);
      b = static_cast<float>(old_b * c + old_a * s);
    }
  }
}

double log_sum_exp(const float* x, std::int64_t count, std::int64_t* largest) {
  *largest = 0;
  for (std::int64_t i = 1; i < count; ++i) {
    if (x[i] > x[*largest]) *largest = i;
  }
  const double top = x[*largest];
  if (std::isinf(top)) return top;
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += std::exp(x[i] - top);
  return top + std::log(sum);
}

}  // namespace farthing::kernels::reference
