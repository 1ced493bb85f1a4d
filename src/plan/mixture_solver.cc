#include "plan/mixture_solver.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace farthing::plan {
namespace {

constexpr std::uint64_t kMaxSteps = 1 << 15;
constexpr std::size_t kMaxChoices = 255;

}  // namespace

MixtureSolver::MixtureSolver(std::span<const std::vector<StorageChoice>> units)
    : units_(units.begin(), units.end()) {
  std::uint64_t divisor = 0;
  for (const std::vector<StorageChoice>& choices : units_) {
    FARTHING_CHECK(!choices.empty() && choices.size() <= kMaxChoices &&
                   std::ranges::is_sorted(choices, {}, &StorageChoice::bits));
    smallest_ += choices.front().bits;
    largest_ += choices.back().bits;
    for (const StorageChoice& choice : choices)
      divisor = std::gcd(divisor, choice.bits - choices.front().bits);
  }
  step_ = std::max({divisor, (largest_ - smallest_ + kMaxSteps - 1) / kMaxSteps, std::uint64_t{1}});

  std::size_t steps = 0;
  for (const std::vector<StorageChoice>& choices : units_)
    steps += steps_of(choices.back().bits - choices.front().bits);
  least_.assign(steps + 1, 0.0);
  for (const std::vector<StorageChoice>& choices : units_) {
    std::vector<double> next(least_.size(), std::numeric_limits<double>::infinity());
    std::vector<std::uint8_t>& chosen = chosen_.emplace_back(least_.size(), std::uint8_t{0});
    for (std::size_t c = 0; c < choices.size(); ++c) {
      const std::size_t more = steps_of(choices[c].bits - choices.front().bits);
      for (std::size_t s = more; s < next.size(); ++s) {
        const double cost = least_[s - more] + choices[c].cost;
        if (cost >= next[s]) continue;
        next[s] = cost;
        chosen[s] = static_cast<std::uint8_t>(c);
      }
    }
    least_ = std::move(next);
  }
}

std::vector<std::size_t> MixtureSolver::within(std::uint64_t bits) const {
  FARTHING_CHECK(bits >= smallest_, "{} bits of at least {}", bits, smallest_);
  const std::uint64_t steps = std::min<std::uint64_t>((bits - smallest_) / step_, least_.size() - 1);
  // More steps never cost more, so the first with this cost has the fewest.
  const auto first = std::ranges::lower_bound(least_, least_[steps], std::greater<>());
  return at(static_cast<std::size_t>(first - least_.begin()));
}

std::optional<std::vector<std::size_t>> MixtureSolver::costing(double cost) const {
  const auto first = std::ranges::lower_bound(least_, cost, std::greater<>());
  if (first == least_.end()) return std::nullopt;
  return at(static_cast<std::size_t>(first - least_.begin()));
}

std::vector<std::size_t> MixtureSolver::at(std::size_t steps) const {
  std::vector<std::size_t> result(units_.size());
  for (std::size_t u = units_.size(); u-- > 0;) {
    result[u] = chosen_[u][steps];
    steps -= steps_of(units_[u][result[u]].bits - units_[u].front().bits);
  }
  return result;
}

}  // namespace farthing::plan
