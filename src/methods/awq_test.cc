// AWQ's scales and limits against traces of llm-compressor and AutoAWQ, and by their definition.
#include "methods/awq.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "scheme/quantizer.h"
#include "scheme/scheme.h"

namespace farthing::methods {
namespace {

using checkpoint::Checkpoint;
using testing::ElementsAre;

ThreadPool& pool() {
  static ThreadPool instance(2);
  return instance;
}

scheme::QuantizationArgs group_args(std::int64_t size, bool symmetric = false) {
  scheme::QuantizationArgs args{.num_bits = 4, .symmetric = symmetric, .strategy = scheme::Strategy::kGroup};
  args.group_size = size;
  return args;
}

Tensor random_matrix(std::int64_t rows, std::int64_t columns, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> values(0, 1);
  Tensor result = Tensor::empty(DType::kF32, {rows, columns});
  for (std::int64_t i = 0; i < result.numel(); ++i) result.mutable_data<float>()[i] = values(generator);
  return result;
}

TEST(Awq, CandidatesAreThoseOfThePeers) {
  const auto ends = [](const AwqOptions& options) {
    const std::vector<AwqCandidate> all = awq_candidates(options);
    return std::tuple(all.size(), all.front(), all[1], all.back());
  };
  EXPECT_EQ(ends({}), std::tuple(20u, AwqCandidate{0, false}, AwqCandidate{0, true}, AwqCandidate{1, true}));
  EXPECT_EQ(ends({.duo = DuoScaling::kOff}),
            std::tuple(20u, AwqCandidate{0, false}, AwqCandidate{1.0 / 19, false}, AwqCandidate{1, false}));
  EXPECT_EQ(ends({.duo = DuoScaling::kBoth}),
            std::tuple(20u, AwqCandidate{0, false}, AwqCandidate{1.0 / 9, false}, AwqCandidate{1, true}));
  EXPECT_EQ(ends({.autoawq_grid = true}),
            std::tuple(20u, AwqCandidate{0, true}, AwqCandidate{0.05, true}, AwqCandidate{0.95, true}));
  EXPECT_THROW(awq_candidates({.num_candidates = 1}), Error);
}

TEST(Awq, ScalesGrowWithInputsAndShrinkWithWeights) {
  const std::vector<double> inputs = {1, 4, 16}, weights = {0.5, 0.5, 0.25};
  const std::vector<float> plain = awq_scale(inputs, weights, {.ratio = 0.5}, {});
  EXPECT_THAT(plain, ElementsAre(0.5f, 1.0f, 2.0f));
  const std::vector<float> duo = awq_scale(inputs, weights, {.ratio = 0.5, .duo = true}, {});
  EXPECT_NEAR(duo[2] / duo[1], 2 * std::sqrt(2.0), 1e-3);
  EXPECT_THAT(awq_scale(inputs, weights, {}, {}), ElementsAre(1.0f, 1.0f, 1.0f));
  // A channel that is never used does not spoil the others.
  for (const float value : awq_scale(std::vector<double>{0, 1, 2}, weights, {.ratio = 1}, {}))
    EXPECT_TRUE(std::isfinite(value) && value > 0);
}

TEST(Awq, RoundingUnderAScaleIsRoundingOfTheScaledWeight) {
  const Tensor weight = random_matrix(5, 64, 1);
  const scheme::QuantizationArgs args = group_args(32);
  std::vector<float> scale(64);
  for (std::size_t i = 0; i < scale.size(); ++i) scale[i] = std::ldexp(1.0f, static_cast<int>(i % 3) - 1);
  const Tensor rounded = awq_rounded({weight, &args}, scale, {.model_dtype = DType::kF32}, pool());
  double error = 0, energy = 0;
  for (std::int64_t i = 0; i < weight.numel(); ++i) {
    error += std::pow(weight.data<float>()[i] - rounded.data<float>()[i], 2);
    energy += std::pow(weight.data<float>()[i], 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.06 * energy);
}

// Every limit is one of those that are tried, and no other does better for the group's part of the output.
TEST(Awq, ClipLimitsAreTheBestOfThoseTried) {
  constexpr std::int64_t kRows = 6, kColumns = 64, kWidth = 32, kTokens = 50;
  Tensor weight = random_matrix(kRows, kColumns, 2);
  weight.mutable_data<float>()[3] = 9;  // an outlier of a channel that hardly counts
  Tensor x = random_matrix(kTokens, kColumns, 3);
  for (std::int64_t t = 0; t < kTokens; ++t) x.mutable_data<float>()[t * kColumns + 3] *= 0.01f;
  Tensor gram = Tensor::zeros(DType::kF32, {kColumns / kWidth, kWidth, kWidth});
  for (std::int64_t t = 0; t < kTokens; ++t)
    for (std::int64_t i = 0; i < kColumns; ++i)
      for (std::int64_t j = i / kWidth * kWidth; j < (i / kWidth + 1) * kWidth; ++j)
        gram.mutable_data<float>()[i * kWidth + j % kWidth] +=
            x.data<float>()[t * kColumns + i] * x.data<float>()[t * kColumns + j];
  const scheme::QuantizationArgs args = group_args(kWidth);
  const scheme::ObserverOptions observer{.model_dtype = DType::kF32};
  const AwqWeight member{weight, &args};
  const Tensor limits = awq_clip_limits(member, gram, observer, pool());
  const auto error_with = [&](const Tensor& tried, std::int64_t row, std::int64_t group) {
    const std::vector<float> ones(kColumns, 1.0f);
    const Tensor rounded = awq_rounded({clip_groups(weight, tried, pool()), &args}, ones, observer, pool());
    double sum = 0;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      double y = 0;
      for (std::int64_t c = group * kWidth; c < (group + 1) * kWidth; ++c)
        y += static_cast<double>(x.data<float>()[t * kColumns + c]) *
             (rounded.data<float>()[row * kColumns + c] - weight.data<float>()[row * kColumns + c]);
      sum += y * y;
    }
    return sum;
  };
  Tensor largest = Tensor::zeros(DType::kF32, limits.shape());
  for (std::int64_t i = 0; i < weight.numel(); ++i) {
    float& cell = largest.mutable_data<float>()[i / kWidth];
    cell = std::max(cell, std::abs(weight.data<float>()[i]));
  }
  EXPECT_LT(limits.data<float>()[0], 9.0f);
  for (std::int64_t step = 0; step < 10; ++step) {
    Tensor tried = largest.clone();
    for (std::int64_t i = 0; i < tried.numel(); ++i)
      tried.mutable_data<float>()[i] *= 1.0f - static_cast<float>(step) / 20;
    for (std::int64_t i = 0; i < limits.numel(); ++i)
      EXPECT_LE(error_with(limits, i / 2, i % 2), 1.0001 * error_with(tried, i / 2, i % 2) + 1e-6);
  }
  EXPECT_EQ(awq_clip_width(args, kColumns), kWidth);
  EXPECT_EQ(awq_clip_width(*scheme::preset("FP8").weights, kColumns), 0);
}

std::vector<double> doubles_of(const Tensor& tensor) {
  std::vector<double> result(static_cast<std::size_t>(tensor.numel()));
  if (tensor.dtype() == DType::kF64) {
    std::copy_n(tensor.data<double>(), tensor.numel(), result.begin());
  } else {
    std::copy_n(to_float32(tensor).data<float>(), tensor.numel(), result.begin());
  }
  return result;
}

// From the means that the peer saw: its own means of the weights and the scales that it chose.
TEST(Awq, FollowsTheTraceOfLlmCompressor) {
  const char* all = std::getenv("FARTHING_FIXTURES");
  if (all == nullptr) GTEST_SKIP() << "set FARTHING_FIXTURES";
  const std::filesystem::path root = std::filesystem::path(all) / "fixtures/quantized";
  const Checkpoint base = Checkpoint::open(root / "base");
  const Checkpoint trace = Checkpoint::open(root / "llmcompressor-awq-w4a16/trace.safetensors");
  const Json facts = read_json(root / "llmcompressor-awq-w4a16/case.json").at("awq");
  const scheme::QuantizationArgs args = group_args(128, true);
  for (const auto& [smooth, fact] : facts.items()) {
    SCOPED_TRACE(smooth);
    std::vector<AwqWeight> weights;
    for (const std::string path : fact.at("balance")) weights.push_back({base.read(path + ".weight"), &args});
    const std::vector<double> means = awq_weight_means(weights, {}, pool()),
                              wanted_means = doubles_of(trace.read(smooth + ".w_mean")),
                              inputs = doubles_of(trace.read(smooth + ".x_mean")),
                              wanted = doubles_of(trace.read(smooth + ".scales"));
    const std::vector<float> scales =
        awq_scale(inputs, means, {.ratio = fact.at("best_ratio"), .duo = fact.at("best_duo")}, {});
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_NEAR(means[i], wanted_means[i], 1e-12);
      EXPECT_NEAR(scales[i], wanted[i], 1e-6 * wanted[i]);
    }
  }
}

}  // namespace
}  // namespace farthing::methods
