// KL divergence and agreement against the definition in long double.
#include "evaluate/divergence.h"

#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "checkpoint/test_files.h"

namespace farthing::evaluate {
namespace {

using Row = std::vector<float>;

Row random_row(std::size_t size, unsigned seed, float scale) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> values(0, scale);
  Row row(size);
  for (float& value : row) value = values(generator);
  return row;
}

std::vector<long double> softmax(const Row& logits) {
  const long double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<long double> p;
  long double sum = 0;
  for (const float logit : logits) sum += p.emplace_back(std::exp(logit - largest));
  for (long double& value : p) value /= sum;
  return p;
}

double plain_kl(const Row& base, const Row& model) {
  const auto p = softmax(base), q = softmax(model);
  long double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) sum += p[i] * std::log(p[i] / q[i]);
  return static_cast<double>(sum);
}

Divergence of(const Row& base, const Row& model) {
  DivergenceMeter meter;
  meter.add(base, model);
  return meter.result();
}

TEST(Divergence, OfAModelWithItselfIsZero) {
  DivergenceMeter meter;
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Row row = random_row(333, seed, 10);
    meter.add(row, row);
  }
  const Divergence result = meter.result();
  EXPECT_EQ(result.count, 20);
  EXPECT_EQ(result.kl_mean, 0);
  EXPECT_EQ(result.kl_p99, 0);
  EXPECT_EQ(result.top1_agreement, 1);
}

TEST(Divergence, IsTheDefinition) {
  for (const float scale : {0.1f, 1.0f, 5.0f}) {
    for (const std::size_t size : {2u, 17u, 1000u}) {
      const Row base = random_row(size, 1, scale), model = random_row(size, 2, scale);
      const double wanted = plain_kl(base, model);
      EXPECT_NEAR(of(base, model).kl_mean, wanted, 1e-6 + 1e-5 * wanted) << scale << ", " << size;
    }
  }
  // Which of the two is the base matters.
  const Row flat = {0, 0, 0}, sharp = {8, 0, 0};
  EXPECT_NEAR(of(flat, sharp).kl_mean, plain_kl(flat, sharp), 1e-6);
  EXPECT_NEAR(of(sharp, flat).kl_mean, plain_kl(sharp, flat), 1e-6);
  EXPECT_GT(std::abs(plain_kl(flat, sharp) - plain_kl(sharp, flat)), 1);
}

TEST(Divergence, IsNeverNegativeAndKnowsNoOffset) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    const Row base = random_row(501, seed, 3);
    Row shifted = base;
    for (float& logit : shifted) logit += 4;
    EXPECT_GE(of(base, shifted).kl_mean, 0);
    EXPECT_NEAR(of(base, shifted).kl_mean, 0, 1e-5);
  }
}

TEST(Divergence, MeanPercentileAndAgreement) {
  DivergenceMeter meter;
  const Row base = {1, 0};
  std::vector<double> values;
  for (int i = 0; i < 200; ++i) {
    const Row model = {1 - 0.01f * static_cast<float>(i), 0};  // disagrees from i = 101 on; 100 is a tie
    meter.add(base, model);
    values.push_back(plain_kl(base, model));
  }
  const Divergence result = meter.result();
  EXPECT_EQ(result.count, 200);
  double sum = 0;
  for (const double value : values) sum += value;
  EXPECT_NEAR(result.kl_mean, sum / 200, 1e-6);
  EXPECT_NEAR(result.kl_p99, values[197], 1e-6) << "198 of 200 are at most that";
  EXPECT_DOUBLE_EQ(result.top1_agreement, 101.0 / 200);
}

TEST(Divergence, OfNothingIsZero) {
  EXPECT_EQ(DivergenceMeter().result().count, 0);
  EXPECT_EQ(DivergenceMeter().result().kl_mean, 0);
}

TEST(Divergence, ATokenThatTheBaseRulesOutCountsNothing) {
  EXPECT_NEAR(of({0, 0, -INFINITY}, {0, 0, 0}).kl_mean, std::log(1.5), 1e-6);
}

TEST(Divergence, NumbersThatAreNoneAreAnErrorAndNotAMean) {
  DivergenceMeter meter;
  meter.add(Row{1, 2}, Row{1, 2});
  for (const auto& [base, model] : {std::pair(Row{NAN, 1}, Row{0, 1}), std::pair(Row{0, 1}, Row{NAN, 1}),
                                    std::pair(Row{0, 1}, Row{-INFINITY, 1})})
    checkpoint::expect_error(Code::kNumeric, {"position=1"}, [&, &b = base, &m = model] { meter.add(b, m); });
  checkpoint::expect_error(Code::kInvalidArgument, {"base=2", "model=3", "--base"}, [&] {
    meter.add(Row{0, 1}, Row{0, 1, 2});
  });
  EXPECT_EQ(meter.result().count, 1);
}

}  // namespace
}  // namespace farthing::evaluate
