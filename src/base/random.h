// The random numbers of Python and NumPy, bit for bit, so that calibration draws the samples that the papers'
// scripts draw and a seed means the same everywhere.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <utility>
#include <vector>

namespace farthing {

/// CPython's random.Random: the Mersenne Twister (Matsumoto and Nishimura, 1998) seeded by init_by_array.
class Mt19937 {
 public:
  /// random.seed(seed).
  explicit Mt19937(std::uint64_t seed = 0);

  /// The next 32 bits of the generator.
  std::uint32_t next();

  /// random.getrandbits(count) for 0 <= count <= 64.
  std::uint64_t getrandbits(int count);

  /// random.random(): 53 bits, 0 <= x < 1.
  double random();

  /// random.randrange(stop): 0 <= x < stop. Throws kInvalidArgument when stop <= 0.
  std::int64_t randrange(std::int64_t stop);

  /// random.randint(first, last), both included. Throws kInvalidArgument when last < first,
  /// and for the one range that has 2^64 values.
  std::int64_t randint(std::int64_t first, std::int64_t last);

  /// random.shuffle(values).
  template <std::ranges::random_access_range Range>
  void shuffle(Range&& values) {
    for (std::size_t i = std::ranges::size(values); i-- > 1;) std::swap(values[i], values[below(i + 1)]);
  }

  /// random.sample(range(population), count). Throws kInvalidArgument unless 0 <= count <= population.
  std::vector<std::int64_t> sample(std::int64_t population, std::int64_t count);

 private:
  std::uint64_t below(std::uint64_t stop);
  void refill();

  static constexpr std::size_t kWords = 624;
  std::array<std::uint32_t, kWords> state_;
  std::size_t position_ = kWords;
};

/// numpy.random.default_rng(seed).permutation(count), which is also the order of datasets.shuffle(seed):
/// PCG64 (O'Neill, 2014) seeded by NumPy's SeedSequence. Throws kInvalidArgument when count is negative or
/// does not fit 32 bits.
std::vector<std::int64_t> numpy_permutation(std::uint64_t seed, std::int64_t count);

}  // namespace farthing
