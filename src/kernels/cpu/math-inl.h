// exp, tanh and the activations on vectors. The polynomials are minimax fits of relative error, made for
// these files; every lane is computed by the same operations on every instruction set.
#pragma once

namespace farthing::kernels::FARTHING_ISA_NAMESPACE {

/// e^x within about an ulp; results below 2^-126 become 0.
inline Vec exp(Vec x) {
  constexpr float kLowest = -87.33654f, kHighest = 88.72283f;  // ln 2^-126 and ln of the largest float
  const Vec clamped = max(set(kLowest), min(set(kHighest), x));
  // Adding 1.5 * 2^23 rounds x / ln 2 to an integer n in the low bits; ln 2 is taken away in two parts, the
  // first without rounding.
  const Vec shifted = fma(clamped, set(1.44269504f), set(0x1.8p23f));
  const Vec n = shifted - set(0x1.8p23f);
  const Vec r = fnma(n, set(-2.12194440e-4f), fnma(n, set(0.693359375f), clamped));
  Vec p = fma(set(1.3814596e-3f), r, set(8.3687175e-3f));
  p = fma(p, r, set(4.1668389e-2f));
  p = fma(p, r, set(1.6666521e-1f));
  p = fma(p, r, set(4.9999994e-1f));
  p = fma(p, r * r, r) + set(1.0f);
  const Vec result = as_float(add_int(as_int(p), shift_left<23>(as_int(shifted))));
  const Vec not_small = select_less(x, set(kLowest), zero(), result);
  return select_less(set(kHighest), x, set(std::numeric_limits<float>::infinity()), not_small);
}

inline Vec negate(Vec x) {
  return as_float(bit_xor(as_int(x), set_int(0x80000000u)));
}
inline Vec magnitude(Vec x) {
  return as_float(bit_and(as_int(x), set_int(0x7fffffffu)));
}
inline Vec with_sign_of(Vec sign, Vec x) {
  return as_float(and_or(as_int(sign), set_int(0x80000000u), as_int(x)));
}

inline Vec sigmoid(Vec x) {
  return set(1.0f) / (set(1.0f) + exp(negate(x)));
}

inline Vec tanh(Vec x) {
  const Vec a = magnitude(x), square = x * x;
  Vec p = fma(set(-5.7049785e-3f), square, set(2.0639079e-2f));
  p = fma(p, square, set(-5.3739712e-2f));
  p = fma(p, square, set(1.3331442e-1f));
  p = fma(p, square, set(-3.3333281e-1f));
  const Vec small = fma(p * square, a, a);
  const Vec large = set(1.0f) - set(2.0f) / (exp(a + a) + set(1.0f));
  return with_sign_of(x, select_less(a, set(0.625f), small, large));
}

/// x Phi(x), from the tail of the normal distribution: Phi(-a) = exp(-a^2 / 2) Q(1 / (1 + 0.3 a)).
inline Vec gelu(Vec x) {
  const Vec a = magnitude(x), u = set(1.0f) / fma(set(0.3f), a, set(1.0f));
  Vec q = fma(set(3.5674877e-2f), u, set(-1.5720350e-1f));
  q = fma(q, u, set(2.0635419e-1f));
  q = fma(q, u, set(-5.3684242e-2f));
  q = fma(q, u, set(1.2856193e-1f));
  q = fma(q, u, set(9.9913411e-2f));
  q = fma(q, u, set(1.2075397e-1f));
  q = fma(q, u, set(1.1962930e-1f));
  const Vec tail = x * (exp(set(-0.5f) * a * a) * (q * u));
  return select_less(x, zero(), tail, x - tail);
}

struct Identity {
  static Vec apply(Vec x) { return x; }
};
struct Gelu {
  static Vec apply(Vec x) { return gelu(x); }
};
struct GeluTanh {  // 0.5 (1 + tanh u) is the sigmoid of 2 u
  static Vec apply(Vec x) {
    const Vec u = set(0.79788456f) * x * fma(set(0.044715f) * x, x, set(1.0f));
    return x * sigmoid(u + u);
  }
};
struct QuickGelu {
  static Vec apply(Vec x) { return x * sigmoid(set(1.702f) * x); }
};
struct Silu {
  static Vec apply(Vec x) { return x * sigmoid(x); }
};
struct Relu {
  static Vec apply(Vec x) { return max(zero(), x); }
};
struct ReluSquared {
  static Vec apply(Vec x) { return Relu::apply(x) * Relu::apply(x); }
};

/// Calls call.run<Function>() for the function of an activation.
template <typename Call>
void with_activation(Activation activation, const Call& call) {
  switch (activation) {
    case Activation::kNone:
      return call.template run<Identity>();
    case Activation::kGelu:
      return call.template run<Gelu>();
    case Activation::kGeluTanh:
      return call.template run<GeluTanh>();
    case Activation::kQuickGelu:
      return call.template run<QuickGelu>();
    case Activation::kSilu:
      return call.template run<Silu>();
    case Activation::kRelu:
      return call.template run<Relu>();
    case Activation::kReluSquared:
      return call.template run<ReluSquared>();
  }
}

}  // namespace farthing::kernels::FARTHING_ISA_NAMESPACE
