#include "methods/ggml_blocks.h"

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "checkpoint/checkpoint.h"

namespace farthing::methods {
namespace {

using checkpoint::gguf::BlockType;
using checkpoint::gguf::find_block_type;

constexpr std::string_view kAll[] = {"Q2_K", "Q3_K", "Q4_0",   "Q4_1",   "Q4_K", "Q5_0",
                                     "Q5_1", "Q5_K", "IQ4_NL", "IQ4_XS", "Q6_K", "Q8_0"};

// Bell-shaped with a few far values, rows of different spread, as weights are.
Tensor weights(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  Mt19937 random(seed);
  Tensor result = Tensor::empty(DType::kF32, {rows, columns});
  float* out = result.mutable_data<float>();
  for (std::int64_t r = 0; r < rows; ++r) {
    const double spread = 0.01 * (1 + random.random() * 3);
    for (std::int64_t c = 0; c < columns; ++c) {
      const double radius = std::sqrt(-2 * std::log(1 - random.random()));
      const double far = random.random() < 0.02 ? 4 : 1;
      *out++ = static_cast<float>(spread * far * radius * std::cos(6.283185307179586 * random.random()));
    }
  }
  return result;
}

std::vector<float> importance(std::int64_t columns, std::uint64_t seed) {
  Mt19937 random(seed);
  std::vector<float> result(static_cast<std::size_t>(columns));
  for (float& value : result) value = static_cast<float>(std::exp(6 * random.random()));
  return result;
}

double relative_error(std::string_view type_name, const Tensor& weight, ThreadPool& pool) {
  const BlockType& type = *find_block_type(type_name);
  const BlockError error =
      measure_blocks(type, weight, encode_blocks(type, weight, {}, {}, pool), {}, {}, pool);
  return std::sqrt(error.error / error.energy);
}

TEST(GgmlBlocks, ShortFormatsAreThePeers) {
  const checkpoint::Checkpoint peer = checkpoint::Checkpoint::open(
      std::filesystem::path(FARTHING_SOURCE_DIR) / "tests/data/gguf/encode.safetensors");
  ThreadPool pool(1);
  const Tensor input = peer.read("encode.input");
  for (const std::string type : {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"}) {
    const Tensor expected = peer.read("encode." + type + ".blocks");
    const Tensor blocks = encode_blocks(*find_block_type(type), input, {}, {}, pool);
    ASSERT_EQ(blocks.num_bytes(), expected.num_bytes()) << type;
    EXPECT_TRUE(std::ranges::equal(blocks.bytes(), expected.bytes())) << type;
  }
}

TEST(GgmlBlocks, ErrorFallsWithBits) {
  ThreadPool pool(2);
  const Tensor weight = weights(16, 1024, 1);
  const auto error = [&](std::string_view type) { return relative_error(type, weight, pool); };
  EXPECT_GT(error("Q2_K"), error("Q3_K"));
  EXPECT_GT(error("Q3_K"), error("IQ4_XS"));
  EXPECT_GT(error("IQ4_XS"), error("IQ4_NL") * 0.98);
  EXPECT_GT(error("Q4_K"), error("Q5_K"));
  EXPECT_GT(error("Q5_K"), error("Q6_K"));
  EXPECT_GT(error("Q6_K"), error("Q8_0"));
  EXPECT_GT(error("Q4_0"), error("Q4_1"));
  EXPECT_GT(error("Q4_1"), error("Q5_0"));
  EXPECT_GT(error("Q5_0"), error("Q5_1"));
}

TEST(GgmlBlocks, ImportanceLowersTheErrorThatItWeighs) {
  ThreadPool pool(2);
  const Tensor weight = weights(16, 1024, 2);
  const std::vector<float> weighs = importance(1024, 3);
  for (const std::string_view name : kAll) {
    if (name == "Q8_0") continue;  // has no use for it
    const BlockType& type = *find_block_type(name);
    const auto error = [&](std::span<const float> used) {
      return measure_blocks(type, weight, encode_blocks(type, weight, used, {}, pool), weighs, {}, pool)
          .error;
    };
    EXPECT_LT(error(weighs), 0.97 * error({})) << name;
  }
}

TEST(GgmlBlocks, OrderPutsRowsElsewhereAndThreadsChangeNothing) {
  ThreadPool one(1), three(3);
  const Tensor weight = weights(6, 256, 4);
  const std::vector<std::int64_t> order = {5, 0, 3, 1, 4, 2};
  const BlockType& type = *find_block_type("Q4_K");
  const Tensor plain = encode_blocks(type, weight, {}, {}, one);
  const Tensor ordered = encode_blocks(type, weight, {}, order, three);
  for (std::int64_t i = 0; i < 6; ++i) {
    const std::int64_t row = order[static_cast<std::size_t>(i)];
    EXPECT_TRUE(std::ranges::equal(ordered.rows(i, i + 1).bytes(), plain.rows(row, row + 1).bytes()));
  }
  EXPECT_DOUBLE_EQ(measure_blocks(type, weight, plain, {}, {}, one).error,
                   measure_blocks(type, weight, ordered, {}, order, three).error);
}

// Zeros, one far value, equal values, tiny and huge ones, fp16's limits.
TEST(GgmlBlocks, AwkwardRowsStayFinite) {
  ThreadPool pool(1);
  Tensor weight = Tensor::zeros(DType::kF32, {8, 256});
  float* rows = weight.mutable_data<float>();
  rows[256 + 5] = -3.0f;
  for (int i = 0; i < 256; ++i) {
    rows[2 * 256 + i] = 1.25f;
    rows[3 * 256 + i] = -1.25f;
    rows[4 * 256 + i] = 1e-9f * static_cast<float>(i);
    rows[5 * 256 + i] = 6e4f * static_cast<float>(i % 3 - 1);
    rows[6 * 256 + i] = i % 2 == 0 ? 0.5f : -0.5f;
    rows[7 * 256 + i] = 1e-38f;
  }
  const std::vector<float> weighs(256, 0.0f);
  for (const std::string_view name : kAll) {
    for (const std::span<const float> used : {std::span<const float>(), std::span<const float>(weighs)}) {
      const BlockType& type = *find_block_type(name);
      const BlockError error =
          measure_blocks(type, weight, encode_blocks(type, weight, used, {}, pool), {}, {}, pool);
      EXPECT_TRUE(std::isfinite(error.error)) << name;
      EXPECT_LT(error.error, 0.05 * error.energy) << name;
    }
  }
  weight.mutable_data<float>()[7] = std::nanf("");
  EXPECT_THROW(encode_blocks(*find_block_type("Q4_K"), weight, {}, {}, pool), Error);
}

}  // namespace
}  // namespace farthing::methods
