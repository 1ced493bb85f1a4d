// The choice of scales against llm-compressor's own trace, and that moving them changes no product.
#include "methods/smoothquant.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"
#include "methods/folding.h"

namespace farthing::methods {
namespace {

using checkpoint::Checkpoint;
using testing::ElementsAre;
using testing::FloatNear;

ThreadPool& pool() {
  static ThreadPool instance(2);
  return instance;
}

TEST(SmoothQuant, BalancesRangesAgainstWeights) {
  const std::vector<Tensor> weights = {Tensor::of<float>({2, 3}, {1, -2, 0, 0.5, 1, 0}),
                                       Tensor::of<float>({1, 3}, {-4, 1, 0})};
  const std::vector<float> lowest = {-8, 0, -1}, highest = {8, 4, 3};
  // Half and half: sqrt(range / (2 max|w|)); a column of zeros takes the range itself.
  EXPECT_THAT(smoothing_scales(lowest, highest, weights, {}, DType::kF32, pool()),
              ElementsAre(FloatNear(std::sqrt(16.0f / 8), 1e-6f), FloatNear(1.0f, 1e-6f), 4.0f));
  EXPECT_THAT(smoothing_scales(lowest, highest, weights, {.strength = 1}, DType::kF32, pool()),
              ElementsAre(16.0f, 4.0f, 4.0f));
  EXPECT_THAT(smoothing_scales(lowest, highest, weights, {.log_equalization = true}, DType::kF32, pool()),
              ElementsAre(FloatNear(16 / std::log2(18.0f), 1e-5f), FloatNear(4 / std::log2(6.0f), 1e-5f),
                          FloatNear(4 / std::log2(6.0f), 1e-5f)));
}

TEST(SmoothQuant, ChannelsThatNeverVariedStayAsTheyAre) {
  const std::vector<Tensor> weights = {Tensor::of<float>({1, 2}, {1, 1})};
  const std::vector<float> lowest = {0, 3}, highest = {0, 3};
  EXPECT_THAT(smoothing_scales(lowest, highest, weights, {.strength = 0.8}, DType::kBF16, pool()),
              ElementsAre(1.0f, 1.0f));
}

TEST(Folding, MovesAScaleFromRowsToColumns) {
  const std::vector<float> scale = {2, 0.5f, 4};
  const Tensor reader = Tensor::of<float>({1, 3}, {1, 2, 3});
  EXPECT_THAT(multiply_inputs(reader, scale, pool()).span<float>(), ElementsAre(2, 1, 12));
  const Tensor norm = Tensor::of<float>({3}, {1, 2, 3});
  EXPECT_THAT(divide_outputs(norm, scale).span<float>(), ElementsAre(0.5f, 4, 0.75f));
  // A norm that stores the distance from 1.
  EXPECT_THAT(divide_outputs(norm, scale, 1).span<float>(), ElementsAre(0, 5, 0));
  // Of a fused linear the last rows give the scale.
  const Tensor fused = Tensor::of<float>({4, 2}, {8, 8, 2, 4, 1, 1, 8, 4});
  EXPECT_THAT(divide_outputs(fused, scale).span<float>(), ElementsAre(8, 8, 1, 2, 2, 2, 2, 1));
  const Tensor half = from_float32(fused, DType::kF16);
  EXPECT_EQ(divide_outputs(half, scale).dtype(), DType::kF16);
  EXPECT_THAT(to_float32(divide_outputs(half, scale)).span<float>(), ElementsAre(8, 8, 1, 2, 2, 2, 2, 1));
}

// From the ranges that the peer saw: its scales, and its folded norms, bit for bit.
TEST(SmoothQuant, FollowsTheTraceOfThePeer) {
  const char* all = std::getenv("FARTHING_FIXTURES");
  if (all == nullptr) GTEST_SKIP() << "set FARTHING_FIXTURES";
  const std::filesystem::path root = std::filesystem::path(all) / "fixtures/quantized";
  const Checkpoint base = Checkpoint::open(root / "base-mini");
  for (const char* name : {"llmcompressor-smoothquant-gptq-w8a8", "llmcompressor-smoothquant-rtn-w8a8"}) {
    const Checkpoint trace = Checkpoint::open(root / name / "trace.safetensors");
    const Checkpoint result = Checkpoint::open(root / name / "model.safetensors");
    const std::string block = "model.layers.0.";
    for (const auto& [norm, linears] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {"input_layernorm", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
             {"post_attention_layernorm", {"mlp.gate_proj", "mlp.up_proj"}}}) {
      std::vector<Tensor> weights;
      for (const std::string& linear : linears) weights.push_back(base.read(block + linear + ".weight"));
      const Tensor lowest = to_float32(trace.read(block + norm + ".activation_min")),
                   highest = to_float32(trace.read(block + norm + ".activation_max")),
                   wanted = to_float32(trace.read(block + norm + ".scales"));
      const std::vector<float> scales = smoothing_scales(lowest.span<float>(), highest.span<float>(), weights,
                                                         {.strength = 0.8}, DType::kBF16, pool());
      EXPECT_EQ(scales, std::vector<float>(wanted.span<float>().begin(), wanted.span<float>().end()));
      const Tensor folded = divide_outputs(base.read(block + norm + ".weight"), scales),
                   stored = result.read(block + norm + ".weight");
      EXPECT_TRUE(std::equal(folded.bytes().begin(), folded.bytes().end(), stored.bytes().begin()));
    }
  }
}

}  // namespace
}  // namespace farthing::methods
