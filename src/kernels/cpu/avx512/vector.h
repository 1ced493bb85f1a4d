// The vector words of the CPU kernels in AVX-512. Included inside the target region of the .cc files of this
// folder, after every other header.
#pragma once

#define FARTHING_ISA_NAMESPACE avx512

namespace farthing::kernels::avx512 {

inline constexpr Isa kIsa = Isa::kAvx512;

using Vec = __m512;
using IntVec = __m512i;
inline constexpr int kLanes = 16;

// A tile of the product keeps kTileRows x (2 vectors) of sums, one broadcast and two weights in 32 registers.
inline constexpr int kTileRows = 14;

inline Vec zero() {
  return _mm512_setzero_ps();
}
inline Vec set(float value) {
  return _mm512_set1_ps(value);
}
inline IntVec set_int(std::uint32_t value) {
  return _mm512_set1_epi32(static_cast<int>(value));
}
inline Vec load(const float* p) {
  return _mm512_loadu_ps(p);
}
inline IntVec load_int(const void* p) {
  return _mm512_loadu_si512(p);
}
inline void store(float* p, Vec v) {
  _mm512_storeu_ps(p, v);
}

/// The first `count` lanes, 0 <= count <= kLanes; the others are zero, and their memory is not touched.
inline __mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1u);
}
inline Vec load_first(const float* p, std::int64_t count) {
  return _mm512_maskz_loadu_ps(first_lanes(count), p);
}
inline void store_first(float* p, Vec v, std::int64_t count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), v);
}

/// a * b + c and c - a * b, rounded once.
inline Vec fma(Vec a, Vec b, Vec c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline Vec fnma(Vec a, Vec b, Vec c) {
  return _mm512_fnmadd_ps(a, b, c);
}
/// The second operand where either is NaN.
inline Vec min(Vec a, Vec b) {
  return _mm512_min_ps(a, b);
}
inline Vec max(Vec a, Vec b) {
  return _mm512_max_ps(a, b);
}
inline Vec sqrt(Vec a) {
  return _mm512_sqrt_ps(a);
}

/// `yes` where a < b, else `no` (also for NaN).
inline Vec select_less(Vec a, Vec b, Vec yes, Vec no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}

inline Vec as_float(IntVec v) {
  return _mm512_castsi512_ps(v);
}
inline IntVec as_int(Vec v) {
  return _mm512_castps_si512(v);
}
inline Vec to_float(IntVec v) {
  return _mm512_cvtepi32_ps(v);
}
template <int kBits>
inline IntVec shift_left(IntVec v) {
  return _mm512_slli_epi32(v, kBits);
}
template <int kBits>
inline IntVec shift_right(IntVec v) {
  return _mm512_srli_epi32(v, kBits);
}
inline IntVec shift_right(IntVec v, int bits) {
  return _mm512_srl_epi32(v, _mm_cvtsi32_si128(bits));
}
inline IntVec bit_and(IntVec a, IntVec b) {
  return _mm512_and_si512(a, b);
}
inline IntVec bit_or(IntVec a, IntVec b) {
  return _mm512_or_si512(a, b);
}
inline IntVec bit_xor(IntVec a, IntVec b) {
  return _mm512_xor_si512(a, b);
}
/// (v & mask) | bits.
inline IntVec and_or(IntVec v, IntVec mask, IntVec bits) {
  return _mm512_ternarylogic_epi32(v, mask, bits, 0xea);
}
inline IntVec add_int(IntVec a, IntVec b) {
  return _mm512_add_epi32(a, b);
}

/// Widens kLanes numbers.
inline Vec load_half(const std::uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Vec load_bfloat(const std::uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return as_float(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
inline Vec load_int8(const std::int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

/// 16 floats, found by the low four bits of every lane.
struct Table16 {
  Vec values;
};
inline Table16 load_table(const float* p) {
  return {load(p)};
}
inline Vec look_up(const Table16& table, IntVec place) {
  return _mm512_permutexvar_ps(place, table.values);
}

/// Sums of 16 lanes, added as a tree whose shape is the same in every instruction set. Begin with {}.
struct Sum16 {
  Vec lanes[1];
  float total() const {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes[0]), _mm512_extractf32x8_ps(lanes[0], 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
};
inline float first_lane(Vec v) {
  return _mm512_cvtss_f32(v);
}

/// Half of a Vec in double.
using DoubleVec = __m512d;
inline DoubleVec load_double(const float* p) {
  return _mm512_cvtps_pd(_mm256_loadu_ps(p));
}
inline DoubleVec set_double(double value) {
  return _mm512_set1_pd(value);
}
inline DoubleVec fma(DoubleVec a, DoubleVec b, DoubleVec c) {
  return _mm512_fmadd_pd(a, b, c);
}

/// The same for 16 sums in double.
struct DoubleSum16 {
  DoubleVec lanes[2];
  double total() const {
    const __m512d eight = _mm512_add_pd(lanes[0], lanes[1]);
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

}  // namespace farthing::kernels::avx512
