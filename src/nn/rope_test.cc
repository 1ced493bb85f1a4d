#include "nn/rope.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

namespace farthing::nn {
namespace {

using Scaling = RopeSpec::Scaling;

TEST(Rope, PlainFrequencies) {
  const std::vector<float> frequencies = inverse_frequencies({.theta = 10000.0}, 8, 100);
  ASSERT_EQ(frequencies.size(), 4u);
  EXPECT_FLOAT_EQ(frequencies[0], 1.0f);
  EXPECT_FLOAT_EQ(frequencies[1], 0.1f);
  EXPECT_FLOAT_EQ(frequencies[3], 0.001f);
}

TEST(Rope, LinearDividesEveryFrequency) {
  const std::vector<float> frequencies =
      inverse_frequencies({.scaling = Scaling::kLinear, .factor = 4.0}, 8, 100);
  EXPECT_FLOAT_EQ(frequencies[0], 0.25f);
  EXPECT_FLOAT_EQ(frequencies[1], 0.025f);
}

TEST(Rope, DynamicFollowsTheLengthBeyondTheOriginal) {
  const RopeSpec spec{.scaling = Scaling::kDynamic, .factor = 2.0, .max_position_embeddings = 32};
  EXPECT_EQ(inverse_frequencies(spec, 8, 10), inverse_frequencies({}, 8, 0));
  EXPECT_EQ(inverse_frequencies(spec, 8, 32), inverse_frequencies({}, 8, 0));
  const double theta = 10000.0 * std::pow(2.0 * 64.0 / 32.0 - 1.0, 8.0 / 6.0);
  EXPECT_FLOAT_EQ(inverse_frequencies(spec, 8, 64)[2], static_cast<float>(std::pow(theta, -0.5)));
  EXPECT_TRUE(keys_stay_valid(spec, 10, 64));
}

TEST(Rope, Llama3KeepsShortAndStretchesLongWaves) {
  const RopeSpec spec{.theta = 500000.0,
                      .scaling = Scaling::kLlama3,
                      .factor = 8.0,
                      .original_max_position_embeddings = 8192};
  const std::vector<float> plain = inverse_frequencies({.theta = 500000.0}, 128, 1);
  const std::vector<float> scaled = inverse_frequencies(spec, 128, 1);
  for (std::size_t j = 0; j < plain.size(); ++j) {
    const double wavelength = 2.0 * std::numbers::pi / plain[j];
    const float most = wavelength > 8192.0 ? plain[j] / 8.0f : plain[j];
    const float least = wavelength < 2048.0 ? plain[j] : plain[j] / 8.0f;
    EXPECT_LE(scaled[j], most * 1.00001f) << j;
    EXPECT_GE(scaled[j], least * 0.99999f) << j;
  }
}

TEST(Rope, YarnBlendsBetweenTheTwoEnds) {
  const RopeSpec spec{.scaling = Scaling::kYarn, .factor = 4.0, .original_max_position_embeddings = 4096};
  const std::vector<float> plain = inverse_frequencies({}, 128, 1),
                           scaled = inverse_frequencies(spec, 128, 1);
  EXPECT_FLOAT_EQ(scaled.front(), plain.front());
  EXPECT_FLOAT_EQ(scaled.back(), plain.back() / 4.0f);
  EXPECT_FLOAT_EQ(attention_factor(spec), static_cast<float>(0.1 * std::log(4.0) + 1.0));
  RopeSpec with_scales = spec;
  with_scales.mscale = 1.0;
  with_scales.mscale_all_dim = 1.0;
  EXPECT_FLOAT_EQ(attention_factor(with_scales), 1.0f);
  with_scales.attention_factor = 1.25;
  EXPECT_FLOAT_EQ(attention_factor(with_scales), 1.25f);
}

TEST(Rope, LongRopeChangesItsFactorsAtTheOriginalLength) {
  const RopeSpec spec{.scaling = Scaling::kLongRope,
                      .factor = 4.0,
                      .original_max_position_embeddings = 16,
                      .short_factor = {1.0, 1.0},
                      .long_factor = {2.0, 4.0}};
  EXPECT_FLOAT_EQ(inverse_frequencies(spec, 4, 16)[1], 0.01f);
  EXPECT_FLOAT_EQ(inverse_frequencies(spec, 4, 17)[1], 0.0025f);
  EXPECT_FLOAT_EQ(attention_factor(spec),
                  static_cast<float>(std::sqrt(1.0 + std::log(4.0) / std::log(16.0))));
  EXPECT_TRUE(keys_stay_valid(spec, 3, 16));
  EXPECT_FALSE(keys_stay_valid(spec, 16, 17));
  EXPECT_TRUE(keys_stay_valid(spec, 17, 30));
  EXPECT_TRUE(keys_stay_valid(spec, 0, 30));
}

TEST(Rope, TablesAreSharedByEqualSpecsOfOneBatch) {
  ThreadPool pool(1);
  RotaryTables tables;
  const Batch batch = Batch::of({3, 2});
  const RotaryTables::Table& first = tables.get({}, 8, batch, pool);
  EXPECT_EQ(&tables.get({}, 8, batch, pool), &first);
  EXPECT_FLOAT_EQ(first.cosine[2 * 4], std::cos(2.0f));  // row 2, pair 0
  EXPECT_FLOAT_EQ(first.sine[3 * 4], 0.0f);              // the second sequence starts at 0 again
  const Batch other = Batch::of({5});
  EXPECT_FLOAT_EQ(tables.get({}, 8, other, pool).sine[3 * 4], std::sin(3.0f));
}

TEST(Rope, PairsOfAnAxisTurnWithItsPosition) {
  ThreadPool pool(1);
  RotaryTables tables;
  Batch batch = Batch::of({1});
  batch.axes = 3;
  batch.positions = {5, 7, 11};  // time, row, column of one token
  const RotaryTables::Table& table = tables.get({.theta = 1.0, .axis_sections = {1, 1, 2}}, 8, batch, pool);
  EXPECT_FLOAT_EQ(table.cosine[0], std::cos(5.0f));
  EXPECT_FLOAT_EQ(table.cosine[1], std::cos(7.0f));
  EXPECT_FLOAT_EQ(table.cosine[2], std::cos(11.0f));
  EXPECT_FLOAT_EQ(table.cosine[3], std::cos(11.0f));
}

}  // namespace
}  // namespace farthing::nn
