// The best way to spend bits on units that can each be stored in several ways: the multiple-choice knapsack
// problem, solved by dynamic programming over the bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace farthing::plan {

/// One way to store a unit.
struct StorageChoice {
  std::uint64_t bits = 0;
  double cost = 0;
};

class MixtureSolver {
 public:
  /// `units`: the ways of each unit, by rising bits; at most 255. Sizes are exact as long as the differences
  /// between ways share a divisor that leaves 2^15 steps, as those of transformers do; else they are rounded
  /// up to that many steps, so that a budget is always kept.
  explicit MixtureSolver(std::span<const std::vector<StorageChoice>> units);

  std::uint64_t smallest_bits() const { return smallest_; }
  std::uint64_t largest_bits() const { return largest_; }

  /// Returns the index of each unit's way so that the cost is the least that `bits` in all allow; of ways
  /// that cost the same, the smallest. `bits` is at least smallest_bits().
  std::vector<std::size_t> within(std::uint64_t bits) const;

  /// The same with the fewest bits that cost at most `cost`; nothing when no bits suffice.
  std::optional<std::vector<std::size_t>> costing(double cost) const;

 private:
  std::vector<std::size_t> at(std::size_t steps) const;
  std::uint64_t steps_of(std::uint64_t bits) const { return (bits + step_ - 1) / step_; }

  std::vector<std::vector<StorageChoice>> units_;
  std::uint64_t smallest_ = 0, largest_ = 0;
  std::uint64_t step_ = 1;     // bits
  std::vector<double> least_;  // cost with all units, by steps beyond the smallest
  std::vector<std::vector<std::uint8_t>>
      chosen_;  // of each unit, by the steps that it and those before it have
};

}  // namespace farthing::plan
