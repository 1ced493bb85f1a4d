// What this machine could do right now: fused multiply-adds and reads on one thread, in CPU time, so that a
// busy machine does not change a ratio. Both are measured beside the kernel they are compared with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <immintrin.h>
#include <time.h>

#include "kernels/isa.h"

namespace farthing::benchmarks {

/// CPU seconds of the whole process.
inline double cpu_seconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

__attribute__((target("avx512f"))) inline float fma_loop_avx512(std::int64_t rounds) {
  __m512 sums[16], factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(0.001f);
  for (__m512& sum : sums) sum = term;
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, factor, term);
  }
  for (const __m512& sum : sums) term = _mm512_add_ps(term, sum);
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, term);
  return lanes[0];
}

__attribute__((target("avx2,fma"))) inline float fma_loop_avx2(std::int64_t rounds) {
  __m256 sums[12], factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(0.001f);
  for (__m256& sum : sums) sum = term;
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, factor, term);
  }
  for (const __m256& sum : sums) term = _mm256_add_ps(term, sum);
  return term[0] + term[7];
}

/// GFLOP/s of fp32 multiply-adds on one thread.
inline double peak_gflops(kernels::Isa isa) {
  constexpr std::int64_t kRounds = 1 << 20;
  volatile float sink;
  const double start = cpu_seconds();
  double flops;
  if (isa == kernels::Isa::kAvx512) {
    sink = fma_loop_avx512(kRounds);
    flops = 16.0 * 16 * 2 * kRounds;
  } else {
    sink = fma_loop_avx2(kRounds);
    flops = 12.0 * 8 * 2 * kRounds;
  }
  static_cast<void>(sink);
  return flops / (cpu_seconds() - start) / 1e9;
}

__attribute__((target("avx2"))) inline std::int64_t read_loop(const std::byte* data, std::size_t bytes) {
  __m256i sums[8] = {};
  for (std::size_t i = 0; i + 256 <= bytes; i += 256) {
#pragma GCC unroll 8
    for (std::size_t j = 0; j < 8; ++j) {
      sums[j] =
          _mm256_xor_si256(sums[j], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + i + 32 * j)));
    }
  }
  for (std::size_t j = 1; j < 8; ++j) sums[0] = _mm256_xor_si256(sums[0], sums[j]);
  return sums[0][0] ^ sums[0][3];
}

/// GB/s of plain reads of `data` on one thread.
inline double peak_read_gbps(const std::byte* data, std::size_t bytes) {
  volatile std::int64_t sink;
  const double start = cpu_seconds();
  sink = read_loop(data, bytes);
  static_cast<void>(sink);
  return static_cast<double>(bytes) / (cpu_seconds() - start) / 1e9;
}

}  // namespace farthing::benchmarks
