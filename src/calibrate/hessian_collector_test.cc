// The collector against the plain double-precision sum 2/N sum x x^T.
#include "calibrate/hessian_collector.h"

#include <random>

#include <gtest/gtest.h>

#include "checkpoint/test_files.h"

namespace farthing::calibrate {
namespace {

class Collector : public testing::Test {
 protected:
  static void see(HessianCollector& collector, const std::vector<std::string>& paths,
                  const std::vector<float>& x) {
    collector.inputs(paths, x.data(), static_cast<std::int64_t>(x.size()) / kColumns, kColumns);
  }

  static std::vector<float> random_rows(std::int64_t rows, unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> values(0.5f, 2.0f);
    std::vector<float> x(static_cast<std::size_t>(rows * kColumns));
    for (float& value : x) value = values(generator);
    return x;
  }

  static void expect_plain_sum(const Tensor& hessian, const std::vector<std::vector<float>>& passes,
                               double n) {
    ASSERT_EQ(hessian.shape(), Shape({kColumns, kColumns}));
    for (std::int64_t i = 0; i < kColumns; ++i) {
      for (std::int64_t j = 0; j < kColumns; ++j) {
        double sum = 0, size = 0;
        for (const auto& x : passes) {
          for (std::size_t t = 0; t < x.size(); t += kColumns) {
            sum += 2.0 / n * x[t + i] * x[t + j];
            size += std::abs(2.0 / n * x[t + i] * x[t + j]);
          }
        }
        ASSERT_NEAR(hessian.data<float>()[i * kColumns + j], sum, 1e-5 * size) << i << ", " << j;
        ASSERT_EQ(hessian.data<float>()[i * kColumns + j], hessian.data<float>()[j * kColumns + i]);
      }
    }
  }

  static constexpr std::int64_t kColumns = 37;  // no multiple of a tile
  ThreadPool pool_{2};
};

TEST_F(Collector, SumsOverPassesOfAnyLength) {
  HessianCollector collector({"q"}, 3, pool_);
  const std::vector<std::vector<float>> passes = {random_rows(1, 1), random_rows(130, 2), random_rows(17, 3)};
  for (const auto& x : passes) see(collector, {"q"}, x);
  EXPECT_EQ(collector.tokens("q"), 148);
  expect_plain_sum(collector.hessian("q"), passes, 3);
  expect_plain_sum(collector.hessian("q"), passes, 3);  // asking twice changes nothing
}

TEST_F(Collector, LinearsWithOneInputShareOneSum) {
  HessianCollector collector({"k", "v", "o"}, 1, pool_);  // q is not asked for
  const auto x = random_rows(20, 4), y = random_rows(9, 5);
  see(collector, {"q", "k", "v"}, x);
  see(collector, {"o"}, y);
  EXPECT_EQ(collector.group_of("k"), collector.group_of("v"));
  EXPECT_NE(collector.group_of("k"), collector.group_of("o"));
  EXPECT_EQ(&collector.hessian("k"), &collector.hessian("v"));
  expect_plain_sum(collector.hessian("v"), {x}, 1);
  expect_plain_sum(collector.hessian("o"), {y}, 1);
  EXPECT_FALSE(collector.hessian("q").defined());
  EXPECT_EQ(collector.tokens("q"), 0);
}

// The original model's rows come first, batch by batch; where some have no partner there is no shift.
TEST_F(Collector, SumsTheShiftOfPairedInputs) {
  OriginalInputs original({"q", "k"});
  HessianCollector collector({"q", "k"}, 2, pool_, &original);
  std::vector<std::vector<float>> wanted, seen;
  for (const std::int64_t rows : {11, 30}) {
    wanted.push_back(random_rows(rows, 8 + static_cast<unsigned>(rows)));
    seen.push_back(random_rows(rows, 9 + static_cast<unsigned>(rows)));
    nn::Batch batch;
    batch.add({.length = rows});
    original.begin(batch);
    const std::vector<std::string> paths = {"q", "v"};
    original.inputs(paths, wanted.back().data(), rows, kColumns);
    see(collector, paths, seen.back());
  }
  const Tensor shift = collector.shift("q");
  ASSERT_TRUE(shift.defined());
  for (std::int64_t i = 0; i < kColumns; ++i) {
    for (std::int64_t j = 0; j < kColumns; ++j) {
      double sum = 0, size = 0;
      for (std::size_t pass = 0; pass < seen.size(); ++pass) {
        for (std::size_t t = 0; t < seen[pass].size(); t += kColumns) {
          const double term =
              (static_cast<double>(wanted[pass][t + i]) - seen[pass][t + i]) * seen[pass][t + j];
          sum += term;
          size += std::abs(term);
        }
      }
      ASSERT_NEAR(shift.data<float>()[i * kColumns + j], sum, 1e-5 * size) << i << ", " << j;
    }
  }
  see(collector, {"q"}, seen.front());  // taken already
  EXPECT_FALSE(collector.shift("q").defined());
  EXPECT_FALSE(collector.shift("k").defined());
}

// An expert that the router never chose has no Hessian, and must not look as if it had a zero one.
TEST_F(Collector, WhatSawNoTokenHasNoHessian) {
  HessianCollector collector({"q"}, 4, pool_);
  EXPECT_FALSE(collector.hessian("q").defined());
  EXPECT_EQ(collector.tokens("q"), 0);
  EXPECT_EQ(collector.group_of("q"), "q");
}

TEST_F(Collector, FinishedSumsTakeNoMore) {
  HessianCollector collector({"lm_head"}, 2, pool_);
  const auto x = random_rows(5, 6);
  see(collector, {"lm_head"}, x);
  expect_plain_sum(collector.hessian("lm_head"), {x}, 2);
  // Sums that were handed out are finished.
  checkpoint::expect_error(Code::kInternal, {}, [&] { see(collector, {"lm_head"}, x); });
}

TEST_F(Collector, ThreadsDoNotChangeABit) {
  ThreadPool one(1), four(4);
  const auto x = random_rows(200, 7);
  HessianCollector a({"h"}, 2, one), b({"h"}, 2, four);
  see(a, {"h"}, x);
  see(b, {"h"}, x);
  EXPECT_EQ(checkpoint::bytes_of(a.hessian("h")), checkpoint::bytes_of(b.hessian("h")));
}

}  // namespace
}  // namespace farthing::calibrate
