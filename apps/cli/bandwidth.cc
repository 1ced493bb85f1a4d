#include "cli/bandwidth.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace farthing::cli {
namespace {

// Wide loads into sums that do not wait for each other: memory is the limit, not the adding.
using Lanes = std::uint64_t __attribute__((vector_size(64)));

void add_all(const Lanes* begin, const Lanes* end, Lanes& total) {
  Lanes sums[4] = {};
  for (; begin + 4 <= end; begin += 4) {
    for (int i = 0; i < 4; ++i) sums[i] += begin[i];
  }
  total += sums[0] + sums[1] + sums[2] + sums[3];
}

}  // namespace

double read_bandwidth(ThreadPool& pool, std::uint64_t available_bytes) {
  const std::size_t bytes = std::min<std::uint64_t>(std::size_t{1} << 30, available_bytes / 4);
  std::vector<Lanes> buffer(bytes / sizeof(Lanes), Lanes{1});
  const auto count = static_cast<std::int64_t>(buffer.size());
  if (count == 0) return 0;
  constexpr std::int64_t kGrain = 1 << 14;
  std::vector<Lanes> sums(static_cast<std::size_t>(count / kGrain + 1));
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      add_all(buffer.data() + begin, buffer.data() + end, sums[static_cast<std::size_t>(begin / kGrain)]);
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(bytes) / seconds);
  }
  // Reading the sums keeps the loops from being optimised away.
  Lanes total = {};
  add_all(sums.data(), sums.data() + sums.size(), total);
  return total[0] == std::uint64_t(-1) ? 0 : best;
}

}  // namespace farthing::cli
