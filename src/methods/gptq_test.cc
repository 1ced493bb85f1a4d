#include "methods/gptq.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "methods/refine.h"
#include "methods/rtn.h"
#include "scheme/packing.h"
#include "scheme/quantizer.h"
#include "scheme/scheme.h"

namespace farthing::methods {
namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;
using scheme::ActivationOrder;
using scheme::QuantizationArgs;
using testing::HasSubstr;

QuantizationArgs args_of(std::string_view text) {
  return scheme::parse_quantization_args(parse_json(text, "test"), "weights");
}

GptqOptions fp32_options() {
  return {.observer = {.model_dtype = DType::kF32}};
}

Tensor random_matrix(std::int64_t rows, std::int64_t columns, std::mt19937& random) {
  std::normal_distribution<float> normal;
  Tensor matrix = Tensor::empty(DType::kF32, {rows, columns});
  for (std::int64_t i = 0; i < matrix.numel(); ++i) matrix.mutable_data<float>()[i] = normal(random);
  return matrix;
}

// Sum of x x^T over inputs that depend on each other and differ in strength, as those of real layers do.
Tensor random_hessian(std::int64_t size, std::mt19937& random, std::int64_t samples = 400) {
  const std::int64_t rank = std::max<std::int64_t>(size / 4, 1);
  const Tensor mixing = random_matrix(rank, size, random);
  std::normal_distribution<float> normal;
  std::vector<float> strength(static_cast<std::size_t>(size));
  for (float& value : strength) value = std::exp(normal(random));
  Tensor hessian = Tensor::zeros(DType::kF32, {size, size});
  float* h = hessian.mutable_data<float>();
  std::vector<float> x(static_cast<std::size_t>(size));
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    for (float& value : x) value = 0.3f * normal(random);
    for (std::int64_t r = 0; r < rank; ++r) {
      const float factor = normal(random);
      for (std::int64_t i = 0; i < size; ++i) x[i] += factor * mixing.data<float>()[r * size + i];
    }
    for (std::int64_t i = 0; i < size; ++i) x[i] *= strength[i];
    for (std::int64_t i = 0; i < size; ++i) {
      for (std::int64_t j = 0; j < size; ++j) h[i * size + j] += x[i] * x[j];
    }
  }
  return hessian;
}

// tr((W - Q) H (W - Q)^T): the squared error of the layer's output over the calibration data.
double output_error(const Tensor& weight, const QuantizedMatrix& quantized, const Tensor& hessian) {
  ThreadPool pool(1);
  const Tensor values = scheme::dequantize(quantized, pool);
  const std::int64_t size = hessian.dim(0);
  double sum = 0;
  std::vector<double> difference(static_cast<std::size_t>(size));
  for (std::int64_t row = 0; row < weight.dim(0); ++row) {
    for (std::int64_t i = 0; i < size; ++i) {
      difference[i] =
          static_cast<double>(weight.data<float>()[row * size + i]) - values.data<float>()[row * size + i];
    }
    for (std::int64_t i = 0; i < size; ++i) {
      for (std::int64_t j = 0; j < size; ++j)
        sum += difference[i] * hessian.data<float>()[i * size + j] * difference[j];
    }
  }
  return sum;
}

bool same_codes(const QuantizedMatrix& a, const QuantizedMatrix& b) {
  return std::ranges::equal(a.codes.bytes(), b.codes.bytes()) &&
         std::ranges::equal(a.scales.bytes(), b.scales.bytes());
}

struct Setting {
  std::string_view args;
  bool refresh = false;
  bool group_aware = false;
};

const Setting kSettings[] = {
    {R"({"num_bits": 4, "group_size": 32})"},
    {R"({"num_bits": 4, "group_size": 32, "actorder": "weight"})"},
    {R"({"num_bits": 4, "group_size": 32, "actorder": "group"})"},
    {R"({"num_bits": 4, "group_size": 32, "actorder": "group", "symmetric": false})", true},
    {R"({"num_bits": 2, "group_size": 48, "symmetric": false})", true},
    {R"({"num_bits": 3, "group_size": 64})", false, true},
    {R"({"num_bits": 3, "group_size": 64, "observer": "mse", "observer_kwargs": {"maxshrink": 0.8, "patience": 100}})",
     true, true},
    {R"({"num_bits": 3, "group_size": 200})", true},
    {R"({"num_bits": 4, "strategy": "channel", "symmetric": false})", true},
    {R"({"num_bits": 4, "strategy": "channel", "actorder": "weight", "observer": "mse"})"},
    {R"({"num_bits": 4, "group_size": 32, "observer": "imatrix_mse", "actorder": "group"})"},
    {R"({"num_bits": 8, "strategy": "tensor"})"},
    {R"({"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16, "scale_dtype": "torch.float8_e4m3fn"})"},
    {R"({"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [16, 64]})"},
};

TEST(Gptq, BeatsRoundingInEverySetting) {
  ThreadPool pool(2);
  for (const Setting& setting : kSettings) {
    SCOPED_TRACE(setting.args);
    const QuantizationArgs args = args_of(setting.args);
    GptqOptions options = fp32_options();
    options.refresh_scales = setting.refresh;
    options.group_aware_order = setting.group_aware;
    double gptq_error = 0, rtn_error = 0;
    for (unsigned seed = 0; seed < 3; ++seed) {
      std::mt19937 random(seed);
      const Tensor weight = random_matrix(20, 200, random), hessian = random_hessian(200, random);
      const GptqResult result = gptq(weight, hessian, args, options, pool);
      EXPECT_EQ(result.status, GptqStatus::kOk) << result.problem;
      EXPECT_GT(result.loss, 0);
      EXPECT_EQ(result.weight.group_index.defined(), args.actorder == ActivationOrder::kGroup);
      gptq_error += output_error(weight, result.weight, hessian);
      scheme::ObserverOptions observer = options.observer;
      std::vector<float> importance(200);
      for (std::int64_t i = 0; i < 200; ++i) importance[i] = hessian.data<float>()[i * 201];
      observer.importance = importance;
      rtn_error += output_error(weight, rtn(weight, args, observer, pool), hessian);
    }
    EXPECT_LT(gptq_error, 0.8 * rtn_error);
  }
}

TEST(Refine, LowersTheErrorThatGptqLeft) {
  ThreadPool one(1), three(3);
  for (const Setting& setting : kSettings) {
    SCOPED_TRACE(setting.args);
    const QuantizationArgs args = args_of(setting.args);
    if (args.type != NumberType::kInt) continue;
    std::mt19937 random(5);
    const Tensor weight = random_matrix(20, 200, random), hessian = random_hessian(200, random);
    const QuantizedMatrix plain = gptq(weight, hessian, args, fp32_options(), one).weight;
    const auto refined = [&](int passes, ThreadPool& pool) {
      QuantizedMatrix matrix = plain;
      matrix.codes = plain.codes.clone();
      matrix.scales = plain.scales.clone();
      refine(weight, hessian, passes, matrix, pool);
      return matrix;
    };
    const double before = output_error(weight, plain, hessian);
    const double after = output_error(weight, refined(1, one), hessian);
    EXPECT_LT(after, before);
    EXPECT_LE(output_error(weight, refined(3, one), hessian), after * (1 + 1e-5));
    EXPECT_TRUE(same_codes(refined(3, one), refined(3, three)));
    EXPECT_TRUE(same_codes(plain, refined(0, one)));
  }
}

TEST(Gptq, ThreadsAndRowsAndSharedFactorsDoNotChangeTheCodes) {
  ThreadPool one(1), three(3);
  std::mt19937 random(11);
  const Tensor weight = random_matrix(150, 160, random), hessian = random_hessian(160, random);
  for (const Setting& setting : kSettings) {
    SCOPED_TRACE(setting.args);
    const QuantizationArgs args = args_of(setting.args);
    if (args.actorder == ActivationOrder::kNone && args.strategy != scheme::Strategy::kGroup) continue;
    GptqOptions options = fp32_options();
    options.refresh_scales = setting.refresh;
    const GptqResult alone = gptq(weight, hessian, args, options, one);
    const GptqFactor factor = gptq_prepare(hessian, args, options, three);
    const GptqResult threads = gptq(weight, factor, args, options, three);
    EXPECT_TRUE(same_codes(alone.weight, threads.weight));
    EXPECT_EQ(alone.loss, threads.loss);
    const GptqResult part = gptq(weight.rows(70, 101), factor, args, options, one);
    EXPECT_TRUE(std::ranges::equal(part.weight.codes.bytes(), alone.weight.codes.rows(70, 101).bytes()));
  }
}

TEST(Gptq, DiagonalHessianMeansRounding) {
  ThreadPool pool(1);
  std::mt19937 random(5);
  const Tensor weight = random_matrix(9, 70, random);
  Tensor hessian = Tensor::zeros(DType::kF32, {70, 70});
  for (int i = 0; i < 70; ++i) hessian.mutable_data<float>()[i * 71] = 1.0f + static_cast<float>(i % 7);
  for (const std::string_view order : {"null", "\"weight\""}) {
    const QuantizationArgs args =
        args_of(fmt::format(R"({{"num_bits": 4, "group_size": 32, "actorder": {}}})", order));
    const GptqResult result = gptq(weight, hessian, args, fp32_options(), pool);
    EXPECT_TRUE(same_codes(result.weight, rtn(weight, args, {.model_dtype = DType::kF32}, pool)));
  }
}

TEST(Gptq, ShufflingTheInputsShufflesTheCodes) {
  ThreadPool pool(1);
  std::mt19937 random(8);
  constexpr std::int64_t kSize = 96;
  const Tensor weight = random_matrix(12, kSize, random), hessian = random_hessian(kSize, random);
  std::vector<std::int64_t> shuffle(kSize);
  std::iota(shuffle.begin(), shuffle.end(), 0);
  std::shuffle(shuffle.begin(), shuffle.end(), random);
  Tensor weight2 = Tensor::empty(DType::kF32, weight.shape()),
         hessian2 = Tensor::empty(DType::kF32, hessian.shape());
  for (std::int64_t j = 0; j < kSize; ++j) {
    for (std::int64_t i = 0; i < 12; ++i)
      weight2.mutable_data<float>()[i * kSize + j] = weight.data<float>()[i * kSize + shuffle[j]];
    for (std::int64_t i = 0; i < kSize; ++i) {
      hessian2.mutable_data<float>()[i * kSize + j] = hessian.data<float>()[shuffle[i] * kSize + shuffle[j]];
    }
  }
  // Groups of walked columns do not depend on where the columns were.
  const QuantizationArgs args = args_of(R"({"num_bits": 4, "group_size": 32, "actorder": "group"})");
  const GptqResult a = gptq(weight, hessian, args, fp32_options(), pool),
                   b = gptq(weight2, hessian2, args, fp32_options(), pool);
  EXPECT_TRUE(std::ranges::equal(a.weight.scales.bytes(), b.weight.scales.bytes()));
  for (std::int64_t i = 0; i < 12; ++i) {
    for (std::int64_t j = 0; j < kSize; ++j) {
      ASSERT_EQ(b.weight.codes.data<std::int8_t>()[i * kSize + j],
                a.weight.codes.data<std::int8_t>()[i * kSize + shuffle[j]]);
    }
  }
  for (std::int64_t j = 0; j < kSize; ++j) {
    EXPECT_EQ(b.weight.group_index.data<std::int32_t>()[j],
              a.weight.group_index.data<std::int32_t>()[shuffle[j]]);
  }
}

TEST(Gptq, DeadInputsAreCountedAndGetNoWeight) {
  ThreadPool pool(1);
  std::mt19937 random(2);
  const Tensor weight = random_matrix(6, 40, random);
  Tensor hessian = random_hessian(40, random);
  for (const std::int64_t dead : {3, 17}) {
    for (std::int64_t i = 0; i < 40; ++i) {
      hessian.mutable_data<float>()[dead * 40 + i] = 0;
      hessian.mutable_data<float>()[i * 40 + dead] = 0;
    }
  }
  for (const std::string_view symmetric : {"true", "false"}) {
    const QuantizationArgs args =
        args_of(fmt::format(R"({{"num_bits": 4, "group_size": 20, "symmetric": {}}})", symmetric));
    const GptqResult result = gptq(weight, hessian, args, fp32_options(), pool);
    EXPECT_EQ(result.status, GptqStatus::kOk);
    EXPECT_EQ(result.dead_columns, 2);
    const Tensor values = scheme::dequantize(result.weight, pool);
    for (std::int64_t row = 0; row < 6; ++row) EXPECT_EQ(values.data<float>()[row * 40 + 17], 0);
  }
}

TEST(Gptq, IndefiniteHessianIsDampenedAndRecorded) {
  ThreadPool pool(1);
  std::mt19937 random(3);
  const Tensor weight = random_matrix(4, 32, random);
  Tensor hessian = random_hessian(32, random);
  // Two inputs that agree more than inputs can: an eigenvalue of about -0.05 of the mean.
  double mean = 0;
  for (int i = 0; i < 32; ++i) mean += hessian.data<float>()[i * 33] / 32.0;
  for (int i = 0; i < 32; ++i) {
    for (int j = 0; j < 32; ++j)
      hessian.mutable_data<float>()[i * 32 + j] = i == j ? static_cast<float>(mean) : 0.0f;
  }
  hessian.mutable_data<float>()[1] = hessian.mutable_data<float>()[32] = static_cast<float>(1.05 * mean);
  const QuantizationArgs args = args_of(R"({"num_bits": 4, "strategy": "channel"})");
  const GptqResult result = gptq(weight, hessian, args, fp32_options(), pool);
  EXPECT_EQ(result.status, GptqStatus::kDampened);
  EXPECT_DOUBLE_EQ(result.dampening_frac, 0.1);
  EXPECT_THAT(result.problem, HasSubstr("not positive definite"));

  GptqOptions impatient = fp32_options();
  impatient.max_dampening_retries = 0;
  const GptqResult rounded = gptq(weight, hessian, args, impatient, pool);
  EXPECT_EQ(rounded.status, GptqStatus::kRoundedToNearest);
  EXPECT_TRUE(same_codes(rounded.weight, rtn(weight, args, {.model_dtype = DType::kF32}, pool)));
}

TEST(Gptq, BadNumbersEndInAStatusOrANamedError) {
  ThreadPool pool(1);
  std::mt19937 random(4);
  Tensor weight = random_matrix(4, 32, random);
  const QuantizationArgs args = args_of(R"({"num_bits": 4, "group_size": 16, "actorder": "weight"})");
  for (const float bad : {NAN, INFINITY}) {
    Tensor hessian = random_hessian(32, random);
    hessian.mutable_data<float>()[5 * 32 + 9] = bad;
    const GptqResult result = gptq(weight, hessian, args, fp32_options(), pool);
    EXPECT_EQ(result.status, GptqStatus::kRoundedToNearest);
    EXPECT_THAT(result.problem, HasSubstr("not finite"));
  }
  EXPECT_EQ(gptq(weight, Tensor::zeros(DType::kF32, {32, 32}), args, fp32_options(), pool).status,
            GptqStatus::kRoundedToNearest);
  weight.mutable_data<float>()[40] = NAN;
  EXPECT_THROW(gptq(weight, random_hessian(32, random), args, fp32_options(), pool), Error);
}

TEST(Gptq, ContradictingOptionsAreRefused) {
  ThreadPool pool(1);
  GptqOptions options = fp32_options();
  options.refresh_scales = true;
  const Tensor hessian = Tensor::zeros(DType::kF32, {8, 8});
  EXPECT_THROW(gptq_prepare(hessian, args_of(R"({"num_bits": 4, "group_size": 8, "actorder": "weight"})"),
                            options, pool),
               Error);
  options = {.block_size = 0};
  EXPECT_THROW(gptq_prepare(hessian, args_of("{}"), options, pool), Error);
  options = {.dampening_frac = -1};
  EXPECT_THROW(gptq_prepare(hessian, args_of("{}"), options, pool), Error);
}

// The symmetric matrix of which the file has the rows from the diagonal on.
Tensor symmetric(const Tensor& upper, std::int64_t size) {
  Tensor full = Tensor::empty(DType::kF32, {size, size});
  const float* from = upper.data<float>();
  float* to = full.mutable_data<float>();
  for (std::int64_t i = 0; i < size; ++i)
    for (std::int64_t j = i; j < size; ++j) to[i * size + j] = to[j * size + i] = *from++;
  return full;
}

// Codes and scales of llm-compressor's own run, from the Hessian it had.
TEST(Gptq, ReproducesLlmCompressor) {
  const fs::path root = fs::path(FARTHING_SOURCE_DIR) / "tests/data/quantized";
  const Checkpoint base = Checkpoint::open(root / "base/model.safetensors");
  const Checkpoint peer = Checkpoint::open(root / "llmcompressor-gptq-w4a16/model.safetensors");
  const Checkpoint trace = Checkpoint::open(root / "llmcompressor-gptq-w4a16/trace.safetensors");
  const std::string module = "model.layers.1.self_attn.k_proj";
  ThreadPool pool(2);
  QuantizationArgs args = *scheme::preset("W4A16").weights;
  args.actorder = ActivationOrder::kWeight;
  const GptqFactor factor =
      gptq_prepare(symmetric(trace.read(module + ".hessian_upper"), 256), args, {}, pool);
  EXPECT_EQ(factor.status, GptqStatus::kOk);
  const Tensor order = trace.read(module + ".argsort_diagonal_descending");
  EXPECT_TRUE(std::ranges::equal(factor.order, order.span<std::int32_t>()));

  const GptqResult result = gptq(base.read(module + ".weight"), factor, args, {}, pool);
  EXPECT_TRUE(std::ranges::equal(result.weight.scales.bytes(), peer.read(module + ".weight_scale").bytes()));
  const Tensor codes =
      scheme::unpack_rows(peer.read(module + ".weight_packed"), 4, 256, scheme::WordLayout::kDense, pool);
  int different = 0;
  for (std::int64_t i = 0; i < codes.numel(); ++i) {
    different += codes.data<std::int8_t>()[i] != result.weight.codes.data<std::int8_t>()[i];
  }
  EXPECT_EQ(different, 0) << "of " << codes.numel();
}

}  // namespace
}  // namespace farthing::methods
