// The vector words of the CPU kernels in AVX2 with FMA and F16C. Included inside the target region of the .cc
// files of this folder, after every other header.
#pragma once

#define FARTHING_ISA_NAMESPACE avx2

namespace farthing::kernels::avx2 {

inline constexpr Isa kIsa = Isa::kAvx2;

using Vec = __m256;
using IntVec = __m256i;
inline constexpr int kLanes = 8;

// A tile of the product keeps kTileRows x (2 vectors) of sums, one broadcast and two weights in 16 registers.
inline constexpr int kTileRows = 6;

inline Vec zero() {
  return _mm256_setzero_ps();
}
inline Vec set(float value) {
  return _mm256_set1_ps(value);
}
inline IntVec set_int(std::uint32_t value) {
  return _mm256_set1_epi32(static_cast<int>(value));
}
inline Vec load(const float* p) {
  return _mm256_loadu_ps(p);
}
inline IntVec load_int(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
inline void store(float* p, Vec v) {
  _mm256_storeu_ps(p, v);
}

/// The first `count` lanes, 0 <= count <= kLanes; the others are zero, and their memory is not touched.
inline __m256i first_lanes(std::int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load_first(const float* p, std::int64_t count) {
  return count == kLanes ? load(p) : _mm256_maskload_ps(p, first_lanes(count));
}
inline void store_first(float* p, Vec v, std::int64_t count) {
  if (count == kLanes) return store(p, v);  // masked stores take dozens of cycles on some machines
  _mm256_maskstore_ps(p, first_lanes(count), v);
}

/// a * b + c and c - a * b, rounded once.
inline Vec fma(Vec a, Vec b, Vec c) {
  return _mm256_fmadd_ps(a, b, c);
}
inline Vec fnma(Vec a, Vec b, Vec c) {
  return _mm256_fnmadd_ps(a, b, c);
}
/// The second operand where either is NaN.
inline Vec min(Vec a, Vec b) {
  return _mm256_min_ps(a, b);
}
inline Vec max(Vec a, Vec b) {
  return _mm256_max_ps(a, b);
}
inline Vec sqrt(Vec a) {
  return _mm256_sqrt_ps(a);
}

/// `yes` where a < b, else `no` (also for NaN).
inline Vec select_less(Vec a, Vec b, Vec yes, Vec no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

inline Vec as_float(IntVec v) {
  return _mm256_castsi256_ps(v);
}
inline IntVec as_int(Vec v) {
  return _mm256_castps_si256(v);
}
inline Vec to_float(IntVec v) {
  return _mm256_cvtepi32_ps(v);
}
template <int kBits>
inline IntVec shift_left(IntVec v) {
  return _mm256_slli_epi32(v, kBits);
}
template <int kBits>
inline IntVec shift_right(IntVec v) {
  return _mm256_srli_epi32(v, kBits);
}
inline IntVec shift_right(IntVec v, int bits) {
  return _mm256_srl_epi32(v, _mm_cvtsi32_si128(bits));
}
inline IntVec bit_and(IntVec a, IntVec b) {
  return _mm256_and_si256(a, b);
}
inline IntVec bit_or(IntVec a, IntVec b) {
  return _mm256_or_si256(a, b);
}
inline IntVec bit_xor(IntVec a, IntVec b) {
  return _mm256_xor_si256(a, b);
}
/// (v & mask) | bits.
inline IntVec and_or(IntVec v, IntVec mask, IntVec bits) {
  return bit_or(bit_and(v, mask), bits);
}
inline IntVec add_int(IntVec a, IntVec b) {
  return _mm256_add_epi32(a, b);
}

/// Widens kLanes numbers.
inline Vec load_half(const std::uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Vec load_bfloat(const std::uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return as_float(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
inline Vec load_int8(const std::int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

/// 16 floats, found by the low four bits of every lane.
struct Table16 {
  Vec low, high;
};
inline Table16 load_table(const float* p) {
  return {load(p), load(p + kLanes)};
}
inline Vec look_up(const Table16& table, IntVec place) {
  const Vec low = _mm256_permutevar8x32_ps(table.low, place),
            high = _mm256_permutevar8x32_ps(table.high, place);
  return _mm256_blendv_ps(low, high, as_float(shift_left<28>(place)));  // by bit 3, moved to the sign
}

/// Sums of 16 lanes, added as a tree whose shape is the same in every instruction set. Begin with {}.
struct Sum16 {
  Vec lanes[2];
  float total() const {
    const __m256 eight = _mm256_add_ps(lanes[0], lanes[1]);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
};
inline float first_lane(Vec v) {
  return _mm256_cvtss_f32(v);
}

/// Half of a Vec in double.
using DoubleVec = __m256d;
inline DoubleVec load_double(const float* p) {
  return _mm256_cvtps_pd(_mm_loadu_ps(p));
}
inline DoubleVec set_double(double value) {
  return _mm256_set1_pd(value);
}
inline DoubleVec fma(DoubleVec a, DoubleVec b, DoubleVec c) {
  return _mm256_fmadd_pd(a, b, c);
}

/// The same for 16 sums in double.
struct DoubleSum16 {
  DoubleVec lanes[4];
  double total() const {
    const __m256d low = _mm256_add_pd(lanes[0], lanes[2]), high = _mm256_add_pd(lanes[1], lanes[3]);
    const __m256d four = _mm256_add_pd(low, high);
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

}  // namespace farthing::kernels::avx2
