#include "scheme/activation.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "scheme/scheme.h"

namespace farthing::scheme {
namespace {

std::vector<float> random_values(std::size_t count) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.2f, 2.0f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

ActivationQuantization of_preset(std::string_view name) {
  return {.args = *preset(name).input_activations};
}

std::vector<float> quantized(const ActivationQuantization& quantization, const std::vector<float>& x,
                             std::int64_t rows) {
  ThreadPool pool(2);
  const auto columns = static_cast<std::int64_t>(x.size()) / rows;
  std::vector<float> y(x.size());
  fake_quantize(quantization, x.data(), columns, rows, columns, y.data(), columns, pool);
  return y;
}

TEST(Activation, WorkedExampleOfInt8Tokens) {
  // amax 1.275 makes the scale 0.01; half a step goes to the even code, the top is clipped at 127.
  const std::vector<float> y =
      quantized(of_preset("W8A8"), {1.275f, -1.275f, 0.1f, 0.0249f, 2.0f, 0, 0, 1}, 2);
  EXPECT_FLOAT_EQ(y[0], 1.27f);
  EXPECT_FLOAT_EQ(y[1], -1.28f);
  EXPECT_FLOAT_EQ(y[2], 0.1f);
  EXPECT_FLOAT_EQ(y[3], 0.02f);
  EXPECT_FLOAT_EQ(y[4], 127 * 2.0f / 127.5f);
  EXPECT_EQ(y[5], 0.0f);
}

TEST(Activation, ErrorsStayBelowHalfAStep) {
  const std::vector<float> x = random_values(16 * 256);
  for (const std::string_view name : {"W8A8", "W4A4", "FP8_DYNAMIC", "FP8_BLOCK", "MXFP4", "MXFP8"}) {
    SCOPED_TRACE(name);
    const ActivationQuantization quantization = of_preset(name);
    const std::vector<float> y = quantized(quantization, x, 16);
    // The largest relative step of the grid, at values as large as they get here.
    const double step = quantization.args.type == NumberType::kInt
                            ? 2.0 / ((1 << quantization.args.num_bits) - 1)
                        : quantization.args.num_bits == 8 ? 1.0 / 8
                                                          : 2.0 / 3;
    double largest = 0;
    for (const float value : x) largest = std::max(largest, std::fabs(static_cast<double>(value)));
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_LE(std::fabs(y[i] - x[i]), step * largest) << i;
    EXPECT_EQ(quantized(quantization, std::vector<float>(512, 0.0f), 2), std::vector<float>(512, 0.0f));
  }
}

TEST(Activation, StaticScalesWithAZeroPoint) {
  QuantizationArgs args{.num_bits = 8, .symmetric = false};
  const float low = -1.0f, high = 1.55f;
  const ActivationQuantization found = calibrated(args, {&low, 1}, {&high, 1}, DType::kF32);
  ASSERT_TRUE(found.is_usable());
  EXPECT_FLOAT_EQ(found.scales[0], 0.01f);
  EXPECT_EQ(found.zero_points, std::vector<float>{-28});
  const std::vector<float> y = quantized(found, {-1.0f, 0.004f, 0.0f, 5.0f}, 1);
  EXPECT_FLOAT_EQ(y[0], -1.0f);
  EXPECT_EQ(y[1], 0.0f);
  EXPECT_EQ(y[2], 0.0f);
  EXPECT_FLOAT_EQ(y[3], 1.55f);
}

TEST(Activation, GlobalScaleOfNvfp4AsFrameworksRoundIt) {
  const float low = -1.109375f, high = 1.0f;
  const ActivationQuantization found =
      calibrated(*preset("NVFP4").input_activations, {&low, 1}, {&high, 1}, DType::kBF16);
  EXPECT_EQ(found.global_scale, 2432.0f);  // 2688 * bf16(1 / 1.109375), rounded to bf16
}

TEST(Activation, HeadsHaveScalesOfTheirOwnAndStridesAreKept) {
  ThreadPool pool(1);
  QuantizationArgs args{.num_bits = 8, .type = NumberType::kFloat, .strategy = Strategy::kAttentionHead};
  const std::vector<float> low = {-448.0f, 0}, high = {0, 44.8f};
  const ActivationQuantization found = calibrated(args, low, high, DType::kF32);
  std::vector<float> x = {3.3f, 0, 3.3f, 0, -7.0f, 500.0f, 0, 100.0f, 0, -7.0f};
  fake_quantize(found, x.data(), 5, 2, 4, x.data(), 5, pool);
  EXPECT_EQ(x[0], 3.25f);
  EXPECT_FLOAT_EQ(x[2], 3.2f);  // 33 is between 32 and 36
  EXPECT_EQ(x[4], -7.0f);       // beyond the four columns
  EXPECT_EQ(x[5], 448.0f);
  EXPECT_FLOAT_EQ(x[7], 44.8f);
  EXPECT_FALSE((ActivationQuantization{.args = args, .scales = {0.0f}}.is_usable()));
}

}  // namespace
}  // namespace farthing::scheme
