// The sampler against the definitions of its knobs, in the order in which transformers applies them.
#include "generate/sampler.h"

#include <cmath>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/test_files.h"

namespace farthing::generate {
namespace {

using testing::ElementsAre;

constexpr int kDraws = 4000;

std::map<std::int32_t, int> draw(const SamplingOptions& options, const std::vector<float>& logits,
                                 const std::vector<std::int32_t>& history = {}) {
  Sampler sampler(options);
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.pick(logits, history)];
  return counts;
}

std::set<std::int32_t> drawn(const SamplingOptions& options, const std::vector<float>& logits) {
  std::set<std::int32_t> ids;
  for (const auto& [id, count] : draw(options, logits)) ids.insert(id);
  return ids;
}

// Logits whose softmax is 0.4, 0.3, 0.2, 0.1, in another order and away from zero.
const std::vector<float> kLogits = {5 + std::log(0.2f), 5 + std::log(0.4f), 5 + std::log(0.1f),
                                    5 + std::log(0.3f)};

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  Sampler sampler({.top_p = 0.1, .seed = 7});
  EXPECT_EQ(sampler.pick(std::vector<float>{-3, 2, 2, 1}, {}), 1);
  EXPECT_EQ(sampler.pick(std::vector<float>{-3}, {}), 0);
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  for (const double temperature : {0.5, 1.0, 2.0}) {
    std::vector<double> wanted;
    double sum = 0;
    for (const float logit : kLogits) sum += wanted.emplace_back(std::exp(logit / temperature));
    const auto counts = draw({.temperature = temperature, .seed = 3}, kLogits);
    for (std::int32_t id = 0; id < 4; ++id) {
      const double p = wanted[static_cast<std::size_t>(id)] / sum;
      EXPECT_NEAR(counts.at(id), kDraws * p, 4 * std::sqrt(kDraws * p * (1 - p)))
          << temperature << ", " << id;
    }
  }
}

TEST(Sampler, TheSeedIsTheAnswer) {
  const auto sequence = [](std::uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.pick(kLogits, {}));
    return ids;
  };
  EXPECT_EQ(sequence(1), sequence(1));
  EXPECT_NE(sequence(1), sequence(2));
}

TEST(Sampler, TopKKeepsTheLikeliestAndTies) {
  EXPECT_THAT(drawn({.temperature = 1, .top_k = 1}, kLogits), ElementsAre(1));
  EXPECT_THAT(drawn({.temperature = 1, .top_k = 2}, kLogits), ElementsAre(1, 3));
  EXPECT_THAT(drawn({.temperature = 1, .top_k = 99}, kLogits), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(drawn({.temperature = 1, .top_k = 2}, {1, 0, 1, 1}), ElementsAre(0, 2, 3));
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 0.05}, kLogits), ElementsAre(1)) << "one always stays";
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 0.39}, kLogits), ElementsAre(1));
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 0.41}, kLogits), ElementsAre(1, 3));
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 0.75}, kLogits), ElementsAre(0, 1, 3));
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 1}, kLogits), ElementsAre(0, 1, 2, 3));
}

TEST(Sampler, MinPIsRelativeToTheLikeliest) {
  EXPECT_THAT(drawn({.temperature = 1, .min_p = 0.74}, kLogits), ElementsAre(1, 3));
  EXPECT_THAT(drawn({.temperature = 1, .min_p = 0.49}, kLogits), ElementsAre(0, 1, 3));
  EXPECT_THAT(drawn({.temperature = 1, .min_p = 1}, kLogits), ElementsAre(1));
}

// Temperature comes before top-p: hot, the same p reaches further down. Top-k comes before it too: what it
// leaves is a distribution of its own.
TEST(Sampler, OrderIsTemperatureTopKTopP) {
  EXPECT_THAT(drawn({.temperature = 0.2, .top_p = 0.75}, kLogits), ElementsAre(1));
  EXPECT_THAT(drawn({.temperature = 1, .top_p = 0.56, .top_k = 2}, kLogits), ElementsAre(1))
      << "0.4 of the 0.7 that are left is 0.571";
}

TEST(Sampler, RepetitionIsPenalizedOncePerToken) {
  const std::vector<float> logits = {4, 3, -1, -2};
  Sampler sampler({.repetition_penalty = 2});
  EXPECT_EQ(sampler.pick(logits, std::vector<std::int32_t>{0}), 1);
  EXPECT_EQ(sampler.pick(std::vector<float>{4, 1.5f}, std::vector<std::int32_t>{0, 0, 0}), 0) << "2, not 0.5";
  // A negative logit gets larger in size, not smaller.
  EXPECT_EQ(sampler.pick(std::vector<float>{-1, -1.5f}, std::vector<std::int32_t>{0}), 1);
  // Placeholders of pictures may lie outside the vocabulary.
  EXPECT_EQ(sampler.pick(logits, std::vector<std::int32_t>{-1, 4, 1 << 30}), 0);
}

TEST(Sampler, ALowTemperatureIsGreedy) {
  for (const double temperature : {1e-3, 1e-30, 1e-310})
    EXPECT_THAT(drawn({.temperature = temperature}, {-2e30f, 1, 40, 39, 2}), ElementsAre(2)) << temperature;
  EXPECT_THAT(drawn({.temperature = 1e300}, kLogits), ElementsAre(0, 1, 2, 3));
}

TEST(Sampler, RefusesValuesThatMakeNoSense) {
  for (const SamplingOptions& options : {
           SamplingOptions{.temperature = -0.1},
           SamplingOptions{.temperature = NAN},
           SamplingOptions{.temperature = INFINITY},
           SamplingOptions{.top_p = 0},
           SamplingOptions{.top_p = 1.1},
           SamplingOptions{.top_p = NAN},
           SamplingOptions{.top_k = -1},
           SamplingOptions{.min_p = -0.1},
           SamplingOptions{.min_p = 2},
           SamplingOptions{.min_p = NAN},
           SamplingOptions{.repetition_penalty = 0},
           SamplingOptions{.repetition_penalty = INFINITY},
       }) {
    checkpoint::expect_error(Code::kInvalidArgument, {}, [&] { Sampler sampler(options); });
  }
}

TEST(Sampler, LogitsThatAreNoNumbersAreAnError) {
  Sampler sampler({});
  for (const float bad : {NAN, INFINITY, -INFINITY})
    checkpoint::expect_error(Code::kNumeric, {"tokens_so_far=3", "farthing verify"}, [&] {
      sampler.pick(std::vector<float>{1, bad, 2}, std::vector<std::int32_t>{1, 2, 3});
    });
}

}  // namespace
}  // namespace farthing::generate
