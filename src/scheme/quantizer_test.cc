#include "scheme/quantizer.h"

#include <cmath>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "scheme/observer.h"
#include "scheme/scheme.h"

namespace farthing::scheme {
namespace {

using testing::ElementsAre;

QuantizationArgs args_of(std::string_view text) {
  return parse_quantization_args(parse_json(text, "test"), "weights");
}

Tensor random_weight(std::int64_t rows, std::int64_t columns, DType dtype, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.1f);
  Tensor weight = Tensor::empty(DType::kF32, {rows, columns});
  for (std::int64_t i = 0; i < weight.numel(); ++i) weight.mutable_data<float>()[i] = normal(random);
  return from_float32(weight, dtype);
}

QuantizedMatrix round_all(const Tensor& weight, const QuantizationArgs& args, DType model_dtype,
                          ThreadPool& pool) {
  return quantize(weight, args, observe(weight, args, {.model_dtype = model_dtype}, pool), pool);
}

const std::initializer_list<float> kExample = {0.10f, -0.52f, 0.33f, 0.75f, -0.01f, 0.20f, -0.30f, 0.45f};

TEST(Grid, RoundsToTheNearestCodeWithTiesToEven) {
  for (int bits = 0; bits < 256; ++bits) {
    const auto code = static_cast<std::uint8_t>(bits);
    if ((code & 0x7f) != 0x7f) {
      EXPECT_EQ(Fp8Grid::encode(Fp8Grid{}.snap(fp8_e4m3_to_float(code))), code);
    }
    EXPECT_EQ(Fp4Grid::encode(Fp4Grid{}.snap(fp4_e2m1_to_float(code & 15))), code & 15);
  }
  std::mt19937 random(7);
  std::uniform_real_distribution<float> exponent(-14, 10);
  for (int i = 0; i < 20000; ++i) {
    const float value = std::ldexp(i % 2 ? 1.0f : -1.0f, 0) * std::exp2(exponent(random));
    EXPECT_EQ(Fp8Grid::encode(Fp8Grid{}.snap(value)), float_to_fp8_e4m3(value)) << value;
    EXPECT_EQ(Fp4Grid::encode(Fp4Grid{}.snap(value)), float_to_fp4_e2m1(value)) << value;
  }
  const IntegerGrid four(4);
  EXPECT_EQ(four.snap(2.5f), 2);
  EXPECT_EQ(four.snap(3.5f), 4);
  EXPECT_EQ(four.snap(-2.5f), -2);
  EXPECT_EQ(four.snap(7.5f), 7);  // clamped first
  EXPECT_EQ(four.snap(-1e30f), -8);
}

TEST(Quantizer, WorkedExamples) {
  ThreadPool pool(1);
  const Tensor weight = Tensor::of<float>({1, 8}, kExample);
  const QuantizedMatrix symmetric =
      round_all(weight, args_of(R"({"num_bits": 4, "strategy": "channel"})"), DType::kF32, pool);
  EXPECT_FLOAT_EQ(symmetric.scales.data<float>()[0], 0.1f);
  EXPECT_THAT(symmetric.codes.span<std::int8_t>(), ElementsAre(1, -5, 3, 7, 0, 2, -3, 4));
  const QuantizedMatrix asymmetric = round_all(
      weight, args_of(R"({"num_bits": 4, "strategy": "channel", "symmetric": false})"), DType::kF32, pool);
  EXPECT_FLOAT_EQ(asymmetric.scales.data<float>()[0], 1.27f / 15);
  EXPECT_EQ(asymmetric.zero_points.data<std::int8_t>()[0], -2);
  EXPECT_THAT(asymmetric.codes.span<std::int8_t>(), ElementsAre(-1, -8, 2, 7, -2, 0, -6, 3));
}

TEST(Quantizer, RangeAlwaysHoldsZero) {
  ThreadPool pool(1);
  const Tensor weight = Tensor::of<float>({1, 2}, {0.2f, 0.3f});
  const QuantizedMatrix matrix = round_all(
      weight, args_of(R"({"num_bits": 4, "strategy": "channel", "symmetric": false})"), DType::kF32, pool);
  EXPECT_FLOAT_EQ(matrix.scales.data<float>()[0], 0.02f);
  EXPECT_EQ(matrix.zero_points.data<std::int8_t>()[0], -8);
}

TEST(Quantizer, AllZeroCellsDecodeToZero) {
  ThreadPool pool(1);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Tensor weight = Tensor::zeros(dtype, {3, 64});
    for (const std::string_view name : preset_names()) {
      const Scheme scheme = preset(name);
      if (!scheme.weights) continue;
      const QuantizedMatrix matrix = round_all(weight, *scheme.weights, dtype, pool);
      EXPECT_TRUE(all_finite(matrix.scales)) << name;
      const Tensor values = dequantize(matrix, pool);
      EXPECT_THAT(values.span<float>(), testing::Each(0.0f)) << name;
    }
  }
  const QuantizedMatrix matrix =
      round_all(Tensor::zeros(DType::kBF16, {1, 8}), args_of(R"({"num_bits": 4, "group_size": 8})"),
                DType::kBF16, pool);
  EXPECT_EQ(bf16_to_float(matrix.scales.data<std::uint16_t>()[0]), 0.0078125f);
}

TEST(Quantizer, ErrorIsAboutAStepForEveryPreset) {
  ThreadPool pool(2);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Tensor weight = random_weight(40, 200, dtype, 5);
    for (const std::string_view name : preset_names()) {
      const Scheme scheme = preset(name);
      if (!scheme.weights) continue;
      const QuantizedMatrix matrix = round_all(weight, *scheme.weights, dtype, pool);
      const QuantizationError error = measure_error(weight, matrix, pool);
      const double step =
          scheme.weights->type == NumberType::kFloat ? 0.2 : 1.2 / (1 << scheme.weights->num_bits);
      EXPECT_LT(error.relative, 1.8 * step) << name;
      EXPECT_NEAR(error.sqnr_db, -20 * std::log10(error.relative), 1e-9);
      EXPECT_GT(error.max_abs, 0);
    }
  }
}

TEST(Quantizer, QuotientIsRoundedToTheCommonDtype) {
  ThreadPool pool(1);
  // 3.46875 / 0.9921875 is 3.49606: code 3 in fp32, but 3.5 in bf16, whose tie goes to 4.
  const Tensor weight = from_float32(Tensor::of<float>({1, 1}, {3.46875f}), DType::kBF16);
  const Tensor scale = Tensor::of<float>({1, 1}, {0.9921875f});
  const QuantizationArgs args = args_of(R"({"num_bits": 8, "strategy": "channel"})");
  EXPECT_EQ(quantize(weight, args, {.scales = from_float32(scale, DType::kBF16)}, pool)
                .codes.data<std::int8_t>()[0],
            4);
  EXPECT_EQ(quantize(weight, args, {.scales = scale}, pool).codes.data<std::int8_t>()[0], 3);
}

TEST(Quantizer, ThreadsDoNotChangeTheBytes) {
  ThreadPool one(1), three(3);
  const Tensor weight = random_weight(150, 260, DType::kBF16, 9);
  QuantizationArgs args =
      args_of(R"({"num_bits": 4, "group_size": 32, "symmetric": false, "observer": "mse"})");
  const QuantizedMatrix a = round_all(weight, args, DType::kBF16, one),
                        b = round_all(weight, args, DType::kBF16, three);
  EXPECT_TRUE(std::ranges::equal(a.codes.bytes(), b.codes.bytes()));
  EXPECT_TRUE(std::ranges::equal(a.scales.bytes(), b.scales.bytes()));
  EXPECT_EQ(measure_error(weight, a, one).mse, measure_error(weight, b, three).mse);
}

TEST(Quantizer, GroupIndexChoosesTheScale) {
  ThreadPool pool(1);
  QuantizedMatrix matrix = empty_matrix(args_of(R"({"num_bits": 4, "group_size": 2})"), 1, 4,
                                        {.scales = Tensor::of<float>({1, 2}, {1, 10})});
  std::ranges::copy(std::initializer_list<int>{1, 2, 3, 4}, matrix.codes.mutable_data<std::int8_t>());
  matrix.group_index = Tensor::of<std::int32_t>({4}, {1, 0, 1, 0});
  const Tensor values = dequantize(matrix, pool);
  EXPECT_THAT(values.span<float>(), ElementsAre(10, 2, 30, 4));
}

TEST(Observer, MseNeverFitsWorseThanTheFullRange) {
  ThreadPool pool(1);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Tensor weight = random_weight(16, 256, dtype, 3);
    QuantizationArgs args = args_of(R"({"num_bits": 3, "group_size": 128})");
    const double minmax = measure_error(weight, round_all(weight, args, dtype, pool), pool).mse;
    args.observer = "mse";
    EXPECT_LT(measure_error(weight, round_all(weight, args, dtype, pool), pool).mse, minmax);
  }
}

TEST(Observer, ImportanceMovesTheRange) {
  ThreadPool pool(1);
  Tensor weight = random_weight(1, 64, DType::kF32, 4);
  weight.mutable_data<float>()[5] = 1.0f;  // an outlier nobody looks at
  QuantizationArgs args = args_of(R"({"num_bits": 4, "strategy": "channel", "observer": "imatrix_mse"})");
  std::vector<float> importance(64, 1.0f);
  importance[5] = 0.0f;
  const QuantizationParameters found =
      observe(weight, args, {.model_dtype = DType::kF32, .importance = importance}, pool);
  EXPECT_LT(found.scales.data<float>()[0], 0.5f / 7.5f);
  EXPECT_THROW(observe(weight, args, {}, pool), Error);  // no importance
}

TEST(Observer, RefusesWhatIsNotFiniteAndWhatItDoesNotKnow) {
  ThreadPool pool(1);
  Tensor weight = random_weight(3, 40, DType::kF32, 4);
  QuantizationArgs args = args_of(R"({"num_bits": 4, "group_size": 32, "observer": "bogus"})");
  EXPECT_THROW(observe(weight, args, {}, pool), Error);
  args.observer = "minmax";
  weight.mutable_data<float>()[2 * 40 + 33] = NAN;
  try {
    observe(weight, args, {}, pool);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNumeric);
    EXPECT_THAT(error.what(), testing::HasSubstr("row=2 column=33"));
  }
}

TEST(Observer, GlobalScaleIsEvaluatedInTheWeightsDtype) {
  ThreadPool pool(1);
  EXPECT_EQ(global_scale_of(from_float32(Tensor::of<float>({1, 2}, {1.109375f, 0}), DType::kBF16), pool),
            2432.0f);
  EXPECT_EQ(global_scale_of(Tensor::of<float>({1, 2}, {0, -1.5f}), pool), 1792.0f);
  EXPECT_EQ(global_scale_of(Tensor::of<float>({1, 2}, {0, 0}), pool), 1.0f);
}

TEST(Observer, MxScalesRoundUpFromThreeQuarters) {
  const QuantizationArgs fp4 = *preset("MXFP4A16").weights, fp8 = *preset("MXFP8A16").weights;
  EXPECT_EQ(mx_scale(1.0f, fp4), 0.25f);
  EXPECT_EQ(mx_scale(1.75f, fp4), 0.5f);
  EXPECT_EQ(mx_scale(448.0f, fp8), 2.0f);
  EXPECT_EQ(mx_scale(0.0f, fp4), 0x1p-127f);
  EXPECT_EQ(mx_scale(3e38f, fp4), 0x1p126f);
}

}  // namespace
}  // namespace farthing::scheme
