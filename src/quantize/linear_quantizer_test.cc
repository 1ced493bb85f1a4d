// One linear at a time: which method ran, what its error figures mean, and what happens to those that
// calibration cannot help.
#include "quantize/linear_quantizer.h"

#include <cmath>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/test_files.h"
#include "methods/rtn.h"
#include "scheme/quantizer.h"

namespace farthing::quantize {
namespace {

using checkpoint::bytes_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kRows = 48, kColumns = 128, kTokens = 400;

Tensor random_matrix(std::int64_t rows, std::int64_t columns, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> values(0, 1);
  Tensor result = Tensor::empty(DType::kF32, {rows, columns});
  for (std::int64_t i = 0; i < result.numel(); ++i) result.mutable_data<float>()[i] = values(generator);
  return result;
}

// Inputs whose columns say much about each other: what GPTQ lives on.
Tensor correlated_inputs() {
  Tensor x = random_matrix(kTokens, kColumns, 3);
  float* values = x.mutable_data<float>();
  for (std::int64_t t = 0; t < kTokens; ++t)
    for (std::int64_t c = 1; c < kColumns; ++c)
      values[t * kColumns + c] = 0.9f * values[t * kColumns + c - 1] + 0.3f * values[t * kColumns + c];
  return x;
}

plan::LinearPlan plan_of(const std::string& path, plan::Method method, const std::string& scheme = "W4A16") {
  return {.module = {.path = path, .in_features = kColumns, .out_features = kRows},
          .file_module = path,
          .source_tensor = path + ".weight",
          .dtype = DType::kF32,
          .scale_dtype = DType::kF32,
          .method = method,
          .scheme = scheme::preset(scheme)};
}

class LinearQuantizerTest : public testing::Test {
 protected:
  LinearQuantizerTest() { hessians_.add("a", x_.data<float>(), kTokens, kColumns); }

  // |x (W - Q)^T| / |x W^T| in double.
  double plain_output_error(const QuantizedMatrix& quantized) {
    const Tensor q = scheme::dequantize(quantized, pool_);
    double difference = 0, signal = 0;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      for (std::int64_t r = 0; r < kRows; ++r) {
        double y = 0, z = 0;
        for (std::int64_t c = 0; c < kColumns; ++c) {
          const double x = x_.data<float>()[t * kColumns + c];
          y += x * weight_.data<float>()[r * kColumns + c];
          z += x * q.data<float>()[r * kColumns + c];
        }
        signal += y * y;
        difference += (y - z) * (y - z);
      }
    }
    return std::sqrt(difference / signal);
  }

  ThreadPool pool_{2};
  Tensor weight_ = random_matrix(kRows, kColumns, 1);
  Tensor x_ = correlated_inputs();
  calibrate::HessianCollector hessians_{{"a", "unseen"}, 1, pool_};
};

TEST_F(LinearQuantizerTest, RoundingNeedsNoData) {
  LinearQuantizer quantizer(nullptr, pool_);
  const QuantizedLinear done = quantizer.quantize(plan_of("a", plan::Method::kRtn), weight_);
  EXPECT_EQ(done.result.name, "a");
  EXPECT_EQ(done.result.method, "rtn");
  EXPECT_EQ(done.result.scheme, "W4A16");
  EXPECT_THAT(done.deviations, IsEmpty());
  const Tensor q = scheme::dequantize(done.weight, pool_);
  double squares = 0, signal = 0;
  for (std::int64_t i = 0; i < q.numel(); ++i) {
    squares += std::pow(q.data<float>()[i] - weight_.data<float>()[i], 2);
    signal += std::pow(weight_.data<float>()[i], 2);
  }
  EXPECT_NEAR(done.result.mse, squares / static_cast<double>(q.numel()), 1e-6);
  EXPECT_NEAR(done.result.relative_error, std::sqrt(squares / signal), 1e-6);
  EXPECT_NEAR(done.result.sqnr_db, -20 * std::log10(std::sqrt(squares / signal)), 1e-3);
  EXPECT_EQ(done.result.dampening, 0);
}

TEST_F(LinearQuantizerTest, GptqIsMeasuredOnTheOutputsAndBeatsRounding) {
  LinearQuantizer quantizer(&hessians_, pool_);
  const QuantizedLinear gptq = quantizer.quantize(plan_of("a", plan::Method::kGptq), weight_);
  const QuantizedLinear rtn = quantizer.quantize(plan_of("a", plan::Method::kRtn), weight_);
  EXPECT_EQ(gptq.result.method, "gptq");
  EXPECT_THAT(gptq.deviations, IsEmpty());
  EXPECT_DOUBLE_EQ(gptq.result.dampening, 0.01);
  const double wanted = plain_output_error(gptq.weight);
  EXPECT_NEAR(gptq.result.relative_error, wanted, 1e-3 * wanted);
  EXPECT_LT(wanted, 0.8 * plain_output_error(rtn.weight));
}

TEST_F(LinearQuantizerTest, LinearsOfOneInputShareItsFactorAndNothingElse) {
  hessians_.add("b", x_.data<float>(), kTokens / 2, kColumns);
  const Tensor other = random_matrix(kRows, kColumns, 2);
  const auto alone = [&](const std::string& path, const Tensor& weight) {
    return bytes_of(
        LinearQuantizer(&hessians_, pool_).quantize(plan_of(path, plan::Method::kGptq), weight).weight.codes);
  };
  LinearQuantizer quantizer(&hessians_, pool_);
  const auto next = [&](const std::string& path, const Tensor& weight) {
    return bytes_of(quantizer.quantize(plan_of(path, plan::Method::kGptq), weight).weight.codes);
  };
  EXPECT_EQ(next("a", weight_), alone("a", weight_));
  EXPECT_EQ(next("a", other), alone("a", other));
  EXPECT_EQ(next("b", other), alone("b", other)) << "another input, another factor";
  EXPECT_NE(alone("a", other), alone("b", other));
}

// The router of a mixture may never choose an expert: that is said, and the run goes on.
TEST_F(LinearQuantizerTest, WhatCalibrationNeverReachedIsRoundedAndListed) {
  LinearQuantizer quantizer(&hessians_, pool_);
  const plan::LinearPlan plan = plan_of("unseen", plan::Method::kGptq);
  const QuantizedLinear done = quantizer.quantize(plan, weight_);
  EXPECT_EQ(done.result.method, "rtn");
  EXPECT_THAT(done.deviations, ElementsAre(HasSubstr("no calibration token")));
  EXPECT_EQ(
      bytes_of(done.weight.codes),
      bytes_of(
          LinearQuantizer(nullptr, pool_).quantize(plan_of("x", plan::Method::kRtn), weight_).weight.codes));
}

TEST_F(LinearQuantizerTest, InputsThatAreNoNumbersAreSaid) {
  Tensor bad = x_.clone();
  bad.mutable_data<float>()[5] = NAN;
  hessians_.add("bad", bad.data<float>(), kTokens, kColumns);
  const QuantizedLinear done =
      LinearQuantizer(&hessians_, pool_).quantize(plan_of("bad", plan::Method::kGptq), weight_);
  EXPECT_EQ(done.result.method, "rtn");
  EXPECT_EQ(done.deviations.size(), 1u);
  EXPECT_TRUE(std::isfinite(done.result.relative_error));
  EXPECT_TRUE(all_finite(scheme::dequantize(done.weight, pool_)));
}

TEST_F(LinearQuantizerTest, AWeightThatIsNoNumberNamesItsTensor) {
  for (const float value : {NAN, INFINITY}) {
    Tensor bad = weight_.clone();
    bad.mutable_data<float>()[777] = value;
    for (const plan::Method method : {plan::Method::kRtn, plan::Method::kGptq})
      checkpoint::expect_error(Code::kCorruptData, {"a.weight"}, [&] {
        LinearQuantizer(&hessians_, pool_).quantize(plan_of("a", method), bad);
      });
  }
}

TEST_F(LinearQuantizerTest, AWeightOfZerosHasNoError) {
  const Tensor zeros = Tensor::zeros(DType::kF32, {kRows, kColumns});
  for (const plan::Method method : {plan::Method::kRtn, plan::Method::kGptq}) {
    const QuantizedLinear done = LinearQuantizer(&hessians_, pool_).quantize(plan_of("a", method), zeros);
    EXPECT_EQ(done.result.mse, 0);
    EXPECT_EQ(done.result.relative_error, 0);
    EXPECT_TRUE(std::isfinite(done.result.sqnr_db));
  }
}

}  // namespace
}  // namespace farthing::quantize
