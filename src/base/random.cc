#include "base/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>
#include <unordered_set>

#include "base/error.h"

namespace farthing {

// ---- Mersenne Twister, as CPython seeds and reads it ----

Mt19937::Mt19937(std::uint64_t seed) {
  // init_genrand(19650218), then init_by_array with the seed's 32-bit words, the lowest first.
  state_[0] = 19650218u;
  for (std::uint32_t i = 1; i < kWords; ++i) {
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  }
  const std::array<std::uint32_t, 2> key = {static_cast<std::uint32_t>(seed),
                                            static_cast<std::uint32_t>(seed >> 32)};
  const std::uint32_t key_length = key[1] != 0 ? 2 : 1;
  std::size_t i = 1;
  std::uint32_t j = 0;
  const auto advance = [&] {
    if (++i < kWords) return;
    state_[0] = state_[kWords - 1];
    i = 1;
  };
  for (std::size_t step = 0; step < kWords; ++step) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + key[j] + j;
    advance();
    j = (j + 1) % key_length;
  }
  for (std::size_t step = 1; step < kWords; ++step) {
    state_[i] =
        (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) - static_cast<std::uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000u;
}

void Mt19937::refill() {
  constexpr std::size_t kMiddle = 397;
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint32_t bits = (state_[i] & 0x80000000u) | (state_[(i + 1) % kWords] & 0x7fffffffu);
    state_[i] = state_[(i + kMiddle) % kWords] ^ (bits >> 1) ^ ((bits & 1) != 0 ? 0x9908b0dfu : 0u);
  }
  position_ = 0;
}

std::uint32_t Mt19937::next() {
  if (position_ == kWords) refill();
  std::uint32_t bits = state_[position_++];
  bits ^= bits >> 11;
  bits ^= (bits << 7) & 0x9d2c5680u;
  bits ^= (bits << 15) & 0xefc60000u;
  return bits ^ (bits >> 18);
}

std::uint64_t Mt19937::getrandbits(int count) {
  FARTHING_CHECK(count >= 0 && count <= 64, "{} bits", count);
  if (count == 0) return 0;
  if (count <= 32) return next() >> (32 - count);
  const std::uint64_t low = next();
  return low | (static_cast<std::uint64_t>(next() >> (64 - count)) << 32);
}

double Mt19937::random() {
  const double high = next() >> 5, low = next() >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

// Rejection from the next power of two, as CPython's _randbelow_with_getrandbits.
std::uint64_t Mt19937::below(std::uint64_t stop) {
  const int bits = std::bit_width(stop);
  std::uint64_t value = getrandbits(bits);
  while (value >= stop) value = getrandbits(bits);
  return value;
}

std::int64_t Mt19937::randrange(std::int64_t stop) {
  FARTHING_REQUIRE(stop > 0, Code::kInvalidArgument, "nothing to draw from", {{"stop", stop}});
  return static_cast<std::int64_t>(below(static_cast<std::uint64_t>(stop)));
}

std::int64_t Mt19937::randint(std::int64_t first, std::int64_t last) {
  const std::uint64_t width = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) + 1;
  FARTHING_REQUIRE(first <= last && width != 0, Code::kInvalidArgument, "no range to draw from",
                   {{"first", first}, {"last", last}});
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(first) + below(width));
}

std::vector<std::int64_t> Mt19937::sample(std::int64_t population, std::int64_t count) {
  FARTHING_REQUIRE(count >= 0 && count <= population, Code::kInvalidArgument,
                   "cannot draw more samples than there are",
                   {{"population", population}, {"samples", count}});
  // CPython takes a list of the whole population when that is smaller than a hash set of the samples.
  double set_size = 21;
  if (count > 5)
    set_size += std::pow(4.0, std::ceil(std::log(static_cast<double>(count) * 3) / std::log(4.0)));
  std::vector<std::int64_t> result(static_cast<std::size_t>(count));
  if (static_cast<double>(population) <= set_size) {
    std::vector<std::int64_t> pool(static_cast<std::size_t>(population));
    std::iota(pool.begin(), pool.end(), std::int64_t{0});
    for (std::size_t i = 0; i < result.size(); ++i) {
      const std::uint64_t j = below(pool.size() - i);
      result[i] = pool[j];
      pool[j] = pool[pool.size() - i - 1];
    }
  } else {
    std::unordered_set<std::int64_t> seen;
    for (std::int64_t& value : result) {
      do value = randrange(population);
      while (!seen.insert(value).second);
    }
  }
  return result;
}

// ---- NumPy's default generator ----

namespace {

__extension__ using Uint128 = unsigned __int128;

// numpy.random.SeedSequence(seed): a pool of four words mixed until every input bit touches every word.
class SeedSequence {
 public:
  explicit SeedSequence(std::uint64_t seed) {
    const std::array<std::uint32_t, kPoolWords> entropy = {static_cast<std::uint32_t>(seed),
                                                           static_cast<std::uint32_t>(seed >> 32)};
    std::uint32_t factor = 0x43b0d7e5u;
    const auto hash = [&](std::uint32_t value) { return scramble(value, factor, 0x931e8875u); };
    for (std::size_t i = 0; i < kPoolWords; ++i) pool_[i] = hash(entropy[i]);
    for (std::size_t source = 0; source < kPoolWords; ++source) {
      for (std::size_t target = 0; target < kPoolWords; ++target) {
        if (source == target) continue;
        const std::uint32_t mixed = 0xca01f9ddu * pool_[target] - 0x4973f715u * hash(pool_[source]);
        pool_[target] = mixed ^ (mixed >> 16);
      }
    }
  }

  // generate_state(4, uint64).
  std::array<std::uint64_t, 4> state() const {
    std::array<std::uint64_t, 4> result{};
    std::uint32_t factor = 0x8b51f9ddu;
    for (std::size_t i = 0; i < 2 * result.size(); ++i) {
      const std::uint64_t word = scramble(pool_[i % kPoolWords], factor, 0x58f38dedu);
      result[i / 2] |= word << (32 * (i % 2));
    }
    return result;
  }

 private:
  static constexpr std::size_t kPoolWords = 4;

  static std::uint32_t scramble(std::uint32_t value, std::uint32_t& factor, std::uint32_t multiplier) {
    value ^= factor;
    factor *= multiplier;
    value *= factor;
    return value ^ (value >> 16);
  }

  std::array<std::uint32_t, kPoolWords> pool_;
};

// PCG XSL RR 128/64, with NumPy's buffer that hands out 64 bits as two halves, the low one first.
class Pcg64 {
 public:
  explicit Pcg64(std::uint64_t seed) {
    const auto words = SeedSequence(seed).state();
    increment_ = ((static_cast<Uint128>(words[2]) << 64 | words[3]) << 1) | 1;
    step();
    state_ += static_cast<Uint128>(words[0]) << 64 | words[1];
    step();
  }

  std::uint64_t next64() {
    step();
    return std::rotr(static_cast<std::uint64_t>(state_ >> 64) ^ static_cast<std::uint64_t>(state_),
                     static_cast<int>(state_ >> 122));
  }

  std::uint32_t next32() {
    if (spare_) {
      const std::uint32_t value = *spare_;
      spare_.reset();
      return value;
    }
    const std::uint64_t value = next64();
    spare_ = static_cast<std::uint32_t>(value >> 32);
    return static_cast<std::uint32_t>(value);
  }

  // 0 <= x <= last: the low bits, drawn again until they fit (NumPy's random_interval, which shuffles use).
  std::uint32_t bounded(std::uint32_t last) {
    const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << std::bit_width(last)) - 1);
    std::uint32_t value = next32() & mask;
    while (value > last) value = next32() & mask;
    return value;
  }

 private:
  void step() {
    constexpr Uint128 kMultiplier = static_cast<Uint128>(2549297995355413924u) << 64 | 4865540595714422341u;
    state_ = state_ * kMultiplier + increment_;
  }

  Uint128 state_ = 0;
  Uint128 increment_ = 0;
  std::optional<std::uint32_t> spare_;
};

}  // namespace

std::vector<std::int64_t> numpy_permutation(std::uint64_t seed, std::int64_t count) {
  FARTHING_REQUIRE(count >= 0 && count <= std::int64_t{0xffffffff}, Code::kInvalidArgument,
                   "cannot shuffle so many", {{"count", count}});
  std::vector<std::int64_t> result(static_cast<std::size_t>(count));
  std::iota(result.begin(), result.end(), std::int64_t{0});
  Pcg64 random(seed);
  for (std::size_t i = result.size(); i-- > 1;) {
    std::swap(result[i], result[random.bounded(static_cast<std::uint32_t>(i))]);
  }
  return result;
}

}  // namespace farthing
