#include "cli/bandwidth.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

namespace farthing::cli {

double read_bandwidth(ThreadPool& pool, std::uint64_t available_bytes) {
  const std::size_t bytes = std::min<std::uint64_t>(std::size_t{1} << 30, available_bytes / 4);
  std::vector<std::uint64_t> buffer(bytes / sizeof(std::uint64_t), 1);
  const auto count = static_cast<std::int64_t>(buffer.size());
  if (count == 0) return 0;
  constexpr std::int64_t kGrain = 1 << 16;
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(count / kGrain + 1));
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      sums[static_cast<std::size_t>(begin / kGrain)] +=
          std::accumulate(buffer.begin() + begin, buffer.begin() + end, std::uint64_t{0});
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(count * sizeof(std::uint64_t)) / seconds);
  }
  // Reading the sums keeps the loops from being optimised away.
  return std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}) == 0 ? 0 : best;
}

}  // namespace farthing::cli
