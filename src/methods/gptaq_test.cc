// GPTAQ against a walk that is written as the paper writes it, and against what it is for.
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/test_files.h"
#include "kernels/linalg.h"
#include "methods/gptq.h"
#include "methods/refine.h"
#include "scheme/quantizer.h"

namespace farthing::methods {
namespace {

constexpr std::int64_t kOutputs = 24, kInputs = 96, kTokens = 400;

using Matrix = std::vector<std::vector<double>>;

Tensor normal(std::int64_t rows, std::int64_t columns, std::mt19937& random) {
  std::normal_distribution<float> values;
  Tensor result = Tensor::empty(DType::kF32, {rows, columns});
  for (std::int64_t i = 0; i < result.numel(); ++i) result.mutable_data<float>()[i] = values(random);
  return result;
}

Matrix to_matrix(const Tensor& tensor) {
  Matrix result(static_cast<std::size_t>(tensor.dim(0)));
  for (std::int64_t i = 0; i < tensor.dim(0); ++i)
    result[i].assign(tensor.data<float>() + i * tensor.dim(1),
                     tensor.data<float>() + (i + 1) * tensor.dim(1));
  return result;
}

// Inputs of the original model that depend on each other, and the same as the quantized model has them.
struct Inputs {
  explicit Inputs(unsigned seed) {
    std::mt19937 random(seed);
    const Tensor mixing = normal(kInputs / 4, kInputs, random),
                 sources = normal(kTokens, kInputs / 4, random), noise = normal(kTokens, kInputs, random),
                 errors = normal(kInputs / 4, kInputs, random);
    for (std::int64_t t = 0; t < kTokens; ++t) {
      for (std::int64_t j = 0; j < kInputs; ++j) {
        float common = 0, error = 0;
        for (std::int64_t r = 0; r < kInputs / 4; ++r) {
          common += sources.data<float>()[t * kInputs / 4 + r] * mixing.data<float>()[r * kInputs + j];
          error += sources.data<float>()[t * kInputs / 4 + r] * errors.data<float>()[r * kInputs + j];
        }
        const float own = noise.data<float>()[t * kInputs + j];
        original.mutable_data<float>()[t * kInputs + j] = common + 0.3f * own;
        quantized.mutable_data<float>()[t * kInputs + j] = common + 0.3f * own + 0.1f * error;
        difference.mutable_data<float>()[t * kInputs + j] = -0.1f * error;
      }
    }
    kernels::accumulate_product(quantized.data<float>(), quantized.data<float>(), kTokens, kInputs, 0.01f,
                                hessian.mutable_data<float>(), pool);
    kernels::accumulate_product(difference.data<float>(), quantized.data<float>(), kTokens, kInputs, 0.01f,
                                shift.mutable_data<float>(), pool);
    weight = normal(kOutputs, kInputs, random);
  }

  // |q x - w x~|^2 over the inputs.
  double asymmetric_error(const QuantizedMatrix& matrix) {
    const Tensor values = scheme::dequantize(matrix, pool);
    double sum = 0;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      for (std::int64_t i = 0; i < kOutputs; ++i) {
        double output = 0;
        for (std::int64_t j = 0; j < kInputs; ++j) {
          output += static_cast<double>(values.data<float>()[i * kInputs + j]) *
                        quantized.data<float>()[t * kInputs + j] -
                    static_cast<double>(weight.data<float>()[i * kInputs + j]) *
                        original.data<float>()[t * kInputs + j];
        }
        sum += output * output;
      }
    }
    return sum;
  }

  ThreadPool pool{2};
  Tensor original = Tensor::empty(DType::kF32, {kTokens, kInputs}), quantized = original.clone(),
         difference = original.clone(), weight;
  Tensor hessian = Tensor::zeros(DType::kF32, {kInputs, kInputs}), shift = hessian.clone();
};

scheme::QuantizationArgs arguments(const char* actorder) {
  return scheme::parse_quantization_args(
      parse_json(fmt::format(R"({{"num_bits": 3, "group_size": 32, "actorder": {}}})", actorder), "test"),
      "weights");
}

GptqOptions options_of(std::int64_t block_size, double alpha) {
  return {.block_size = block_size, .gptaq_alpha = alpha, .observer = {.model_dtype = DType::kF32}};
}

// P = alpha triu(D U^T, 1) U, in the order of the walk.
Matrix step_matrix(const Matrix& shift, const Matrix& upper, std::span<const std::int32_t> order,
                   double alpha) {
  Matrix inner(kInputs, std::vector<double>(kInputs)), step = inner;
  for (std::size_t i = 0; i < kInputs; ++i) {
    for (std::size_t j = i + 1; j < kInputs; ++j)
      for (std::size_t k = 0; k < kInputs; ++k) inner[i][j] += shift[order[i]][order[k]] * upper[j][k];
  }
  for (std::size_t i = 0; i < kInputs; ++i) {
    for (std::size_t j = 0; j < kInputs; ++j)
      for (std::size_t k = 0; k < kInputs; ++k) step[i][j] += alpha * inner[i][k] * upper[k][j];
  }
  return step;
}

// Column after column over the whole rest of the weight. Returns how many codes differ from `result`.
int naive_walk(const Inputs& inputs, const GptqFactor& factor, const QuantizedMatrix& result, double alpha) {
  const Matrix upper = to_matrix(factor.upper);
  const Matrix step = step_matrix(to_matrix(inputs.shift), upper, factor.order, alpha);
  Matrix weight = to_matrix(inputs.weight);
  int different = 0;
  for (std::size_t row = 0; row < kOutputs; ++row) {
    std::vector<double>& w = weight[row];
    for (std::size_t i = 0; i < kInputs; ++i) {
      const std::int32_t column = factor.order[i];
      const double scale =
          result.scales.data<float>()[row * kInputs / 32 + static_cast<std::size_t>(column) / 32];
      const double code = std::clamp(std::nearbyint(w[column] / scale), -4.0, 3.0);
      different += code != result.codes.data<std::int8_t>()[row * kInputs + static_cast<std::size_t>(column)];
      const double error = (w[column] - code * scale) / upper[i][i], now = w[column];
      for (std::size_t j = i + 1; j < kInputs; ++j)
        w[factor.order[j]] -= error * upper[i][j] - now * step[i][j];
    }
  }
  return different;
}

TEST(Gptaq, WalksAsThePaperDoes) {
  Inputs inputs(1);
  for (const char* order : {"null", "\"weight\""}) {
    for (const std::int64_t block_size : {16, 40, 128}) {
      for (const double alpha : {0.25, 1.0}) {
        const scheme::QuantizationArgs args = arguments(order);
        const GptqOptions options = options_of(block_size, alpha);
        const GptqFactor factor = gptq_prepare(inputs.hessian, args, options, inputs.pool, inputs.shift);
        const GptqResult result = gptq(inputs.weight, factor, args, options, inputs.pool);
        ASSERT_EQ(result.status, GptqStatus::kOk) << result.problem;
        // A value in the middle between two codes may fall to either side, and takes what follows with it.
        EXPECT_LE(naive_walk(inputs, factor, result.weight, alpha), kOutputs * kInputs / 50)
            << order << " " << block_size << " " << alpha;
      }
    }
  }
}

TEST(Gptaq, ComesCloserToTheOriginalOutputs) {
  const scheme::QuantizationArgs args = arguments("\"weight\"");
  double plain = 0, paired = 0, refined = 0, refined_plain = 0;
  for (unsigned seed = 0; seed < 4; ++seed) {
    Inputs inputs(seed);
    GptqResult result = gptq(inputs.weight, inputs.hessian, args, options_of(128, 1), inputs.pool);
    plain += inputs.asymmetric_error(result.weight);
    refine(inputs.weight, inputs.hessian, 3, result.weight, inputs.pool);
    refined_plain += inputs.asymmetric_error(result.weight);
    const GptqFactor factor =
        gptq_prepare(inputs.hessian, args, options_of(128, 1), inputs.pool, inputs.shift);
    result = gptq(inputs.weight, factor, args, options_of(128, 1), inputs.pool);
    paired += inputs.asymmetric_error(result.weight);
    refine(inputs.weight, inputs.hessian, 3, result.weight, inputs.pool, inputs.shift, 1);
    refined += inputs.asymmetric_error(result.weight);
  }
  EXPECT_LT(paired, 0.9 * plain);
  EXPECT_LT(refined, 0.9 * refined_plain);
  EXPECT_LT(refined, paired);
}

TEST(Gptaq, WithoutAShiftOrAShareItIsGptq) {
  Inputs inputs(7);
  ThreadPool three(3);
  const scheme::QuantizationArgs args = arguments("\"weight\"");
  const auto codes = [&](double alpha, const Tensor& shift, ThreadPool& pool) {
    const GptqFactor factor = gptq_prepare(inputs.hessian, args, options_of(32, alpha), pool, shift);
    return checkpoint::bytes_of(gptq(inputs.weight, factor, args, options_of(32, alpha), pool).weight.codes);
  };
  EXPECT_EQ(codes(0, inputs.shift, inputs.pool), codes(0.5, Tensor(), inputs.pool));
  EXPECT_NE(codes(0.5, inputs.shift, inputs.pool), codes(0.5, Tensor(), inputs.pool));
  EXPECT_EQ(codes(0.5, inputs.shift, inputs.pool), codes(0.5, inputs.shift, three));
  EXPECT_THROW(gptq_prepare(inputs.hessian, args, options_of(32, 1.5), three, inputs.shift), Error);
}

}  // namespace
}  // namespace farthing::methods
