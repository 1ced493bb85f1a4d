// How near the kernels come to what the machine can do. FARTHING_ISA picks the instruction set,
// --benchmark_filter the op. Rates are per second of CPU time on one thread; `of_peak` is the share of a
// multiply-add loop, `of_read` of a read loop over the same bytes, both run right before and after.
#include <random>

#include "machine_peak.h"
#include <benchmark/benchmark.h>

#include "base/thread_pool.h"
#include "kernels/linalg.h"
#include "kernels/linear.h"

namespace farthing::benchmarks {
namespace {

using kernels::PackedWeight;

std::vector<float> random_values(std::int64_t count) {
  std::mt19937 generator(1);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(generator() >> 8) * 0x1p-23f - 1.0f;
  return values;
}

/// Runs `work` as the benchmark and reports its rates.
template <typename Work>
void measure(benchmark::State& state, double flops, std::span<const std::byte> bytes, const Work& work) {
  const kernels::Isa isa = kernels::active_isa();
  work();
  double peak = peak_gflops(isa), read = bytes.empty() ? 0 : peak_read_gbps(bytes.data(), bytes.size());
  double seconds = std::numeric_limits<double>::infinity();
  for (auto _ : state) {
    const double start = cpu_seconds();
    work();
    seconds = std::min(seconds, cpu_seconds() - start);
  }
  peak = std::max(peak, peak_gflops(isa));
  state.SetLabel(std::string(kernels::isa_name(isa)));
  state.counters["GFLOP/s"] = flops / seconds / 1e9;
  state.counters["of_peak"] = flops / seconds / 1e9 / peak;
  if (bytes.empty()) return;
  read = std::max(read, peak_read_gbps(bytes.data(), bytes.size()));
  state.counters["GB/s"] = static_cast<double>(bytes.size()) / seconds / 1e9;
  state.counters["of_read"] = static_cast<double>(bytes.size()) / seconds / 1e9 / read;
}

enum Kind { kF32, kBF16, kF16, kW8, kW4, kW4Asymmetric, kW4Group32 };

PackedWeight random_weight(Kind kind, std::int64_t n, std::int64_t k) {
  if (kind <= kF16) {
    const DType dtype = kind == kF32 ? DType::kF32 : kind == kBF16 ? DType::kBF16 : DType::kF16;
    return kernels::pack_weight(from_float32(Tensor::of<float>({n, k}, random_values(n * k)), dtype));
  }
  QuantizedMatrix weight{
      .rows = n, .columns = k, .bits = kind == kW8 ? 8 : 4, .symmetric = kind != kW4Asymmetric};
  weight.group_size = kind == kW8 ? k : kind == kW4Group32 ? 32 : 128;
  weight.granularity = kind == kW8 ? Granularity::kChannel : Granularity::kGroup;
  weight.codes = Tensor::empty(DType::kI8, {n, k});
  std::mt19937 generator(1);
  for (std::byte& code : weight.codes.mutable_bytes()) {
    code = static_cast<std::byte>(static_cast<int>(generator() % (1u << weight.bits)) -
                                  (1 << (weight.bits - 1)));
  }
  const Shape shape{n, (k + weight.group_size - 1) / weight.group_size};
  Tensor scales = Tensor::empty(DType::kF32, shape);
  std::fill_n(scales.mutable_data<float>(), scales.numel(), 0.01f);
  weight.scales = from_float32(scales, DType::kBF16);
  if (!weight.symmetric) weight.zero_points = Tensor::zeros(DType::kI8, shape);
  return kernels::pack_weight(weight);
}

/// Arguments: kind, M, N, K.
void linear(benchmark::State& state) {
  const std::int64_t m = state.range(1), n = state.range(2), k = state.range(3);
  const PackedWeight weight = random_weight(static_cast<Kind>(state.range(0)), n, k);
  const std::vector<float> x = random_values(m * k);
  std::vector<float> y(static_cast<std::size_t>(m * n));
  ThreadPool pool(1);
  measure(state, 2.0 * static_cast<double>(m * n * k), weight.data.bytes(),
          [&] { kernels::linear(x.data(), m, weight, nullptr, y.data(), pool); });
}

void decode_sizes(benchmark::internal::Benchmark* b) {
  for (const std::int64_t kind : {kF32, kBF16, kF16, kW8, kW4, kW4Asymmetric, kW4Group32}) {
    constexpr std::int64_t kRows[] = {8192, 16384, 16384, 32768, 65536, 65536, 65536};  // 128 MiB of values
    for (const std::int64_t m : {1, 2, 4, 8}) b->Args({kind, m, kRows[kind], 4096});
  }
}

void prefill_sizes(benchmark::internal::Benchmark* b) {
  for (const std::int64_t kind : {kF32, kBF16, kW8, kW4, kW4Group32}) {
    for (const std::int64_t m : {16, 64, 256, 512}) b->Args({kind, m, 2048, 4096});
  }
}

BENCHMARK(linear)
    ->Name("linear_decode")
    ->Apply(decode_sizes)
    ->ArgNames({"kind", "M", "N", "K"})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(linear)
    ->Name("linear_prefill")
    ->Apply(prefill_sizes)
    ->ArgNames({"kind", "M", "N", "K"})
    ->Unit(benchmark::kMillisecond);

/// Arguments: tokens, size.
void gram(benchmark::State& state) {
  const std::int64_t tokens = state.range(0), size = state.range(1);
  const std::vector<float> x = random_values(tokens * size);
  std::vector<float> hessian(static_cast<std::size_t>(size * size));
  ThreadPool pool(1);
  measure(state, static_cast<double>(tokens) * static_cast<double>(size * (size + 1)), {},
          [&] { kernels::accumulate_gram(x.data(), tokens, size, 1.0f, hessian.data(), pool); });
}

BENCHMARK(gram)
    ->ArgsProduct({{512, 2048}, {576, 1536, 4096}})
    ->ArgNames({"tokens", "size"})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace farthing::benchmarks
