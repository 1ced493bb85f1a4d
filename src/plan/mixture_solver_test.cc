// The solver against every combination of small cases.
#include "plan/mixture_solver.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace farthing::plan {
namespace {

using Units = std::vector<std::vector<StorageChoice>>;

struct Total {
  std::uint64_t bits = 0;
  double cost = 0;
};

Total total_of(const Units& units, const std::vector<std::size_t>& chosen) {
  Total total;
  for (std::size_t u = 0; u < units.size(); ++u) {
    total.bits += units[u][chosen[u]].bits;
    total.cost += units[u][chosen[u]].cost;
  }
  return total;
}

template <typename Visit>
void for_each_combination(const Units& units, Visit visit) {
  std::vector<std::size_t> chosen(units.size(), 0);
  for (;;) {
    visit(total_of(units, chosen));
    std::size_t u = 0;
    while (u < units.size() && ++chosen[u] == units[u].size()) chosen[u++] = 0;
    if (u == units.size()) return;
  }
}

std::uint64_t below(Mt19937& random, std::int64_t stop) {
  return static_cast<std::uint64_t>(random.randrange(stop));
}

// Costs are eighths, so that sums are exact in any order.
Units random_units(Mt19937& random, std::uint64_t step) {
  Units units(2 + below(random, 5));
  for (std::vector<StorageChoice>& choices : units) {
    std::uint64_t bits = 100 + below(random, 50);
    double cost = static_cast<double>(500 + below(random, 500)) / 8;
    for (std::uint64_t c = 1 + below(random, 3); c > 0; --c) {
      choices.push_back({bits, cost});
      bits += step * (1 + below(random, 9));
      cost = static_cast<double>(static_cast<int>(cost * random.random() * 8)) / 8;
    }
    choices.push_back({bits, 0.0});
  }
  return units;
}

TEST(MixtureSolver, IsExactWithinEveryBudget) {
  Mt19937 random(5);
  for (int repeat = 0; repeat < 60; ++repeat) {
    const Units units = random_units(random, repeat % 2 == 0 ? 1 : 4096);
    const MixtureSolver solver(units);
    double before = 1e9;
    for (int i = 0; i <= 10; ++i) {
      const std::uint64_t budget =
          solver.smallest_bits() + (solver.largest_bits() - solver.smallest_bits()) * i / 10;
      double least = 1e9;
      for_each_combination(units, [&](const Total& total) {
        if (total.bits <= budget) least = std::min(least, total.cost);
      });
      const Total found = total_of(units, solver.within(budget));
      EXPECT_LE(found.bits, budget);
      EXPECT_EQ(found.cost, least);
      EXPECT_LE(found.cost, before) << "more bits cost more";
      before = found.cost;
    }
  }
}

TEST(MixtureSolver, FindsTheFewestBitsOfACost) {
  Mt19937 random(6);
  for (int repeat = 0; repeat < 60; ++repeat) {
    const Units units = random_units(random, 64);
    const MixtureSolver solver(units);
    const double most = static_cast<double>(below(random, 3000)) / 8;
    std::uint64_t fewest = UINT64_MAX;
    for_each_combination(units, [&](const Total& total) {
      if (total.cost <= most) fewest = std::min(fewest, total.bits);
    });
    const auto chosen = solver.costing(most);
    ASSERT_TRUE(chosen);
    EXPECT_EQ(total_of(units, *chosen).bits, fewest);
  }
}

TEST(MixtureSolver, SaysWhenNothingIsGoodEnough) {
  const MixtureSolver solver(Units{{{10, 2.0}, {20, 1.0}}, {{10, 0.5}}});
  EXPECT_FALSE(solver.costing(1.25));
  EXPECT_EQ(solver.costing(1.5), std::vector<std::size_t>({1, 0}));
  EXPECT_EQ(solver.within(1000), std::vector<std::size_t>({1, 0}));
}

TEST(MixtureSolver, KeepsBudgetsWhoseSizesShareNoDivisor) {
  Mt19937 random(7);
  Units units(200);
  for (std::vector<StorageChoice>& choices : units)
    choices = {{1'000'003, random.random()}, {2'000'000 + below(random, 1'000'000), 0.0}};
  const MixtureSolver solver(units);
  const std::uint64_t budget = (solver.smallest_bits() + solver.largest_bits()) / 2;
  const Total found = total_of(units, solver.within(budget));
  EXPECT_LE(found.bits, budget);
  EXPECT_GT(static_cast<double>(found.bits), 0.97 * static_cast<double>(budget));
}

}  // namespace
}  // namespace farthing::plan
