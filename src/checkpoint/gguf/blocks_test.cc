// Random blocks of every type against what the gguf package for Python decodes.
#include "checkpoint/gguf/blocks.h"

#include <array>
#include <filesystem>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "base/sha256.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/codebooks.h"

namespace farthing::checkpoint::gguf {
namespace {

TEST(GgufBlocks, DecodeToThePeersValues) {
  const std::filesystem::path file =
      std::filesystem::path(FARTHING_SOURCE_DIR) / "tests/data/gguf/blocks.safetensors";
  const Checkpoint peer = Checkpoint::open(file);
  int compared = 0;
  for (const TensorInfo& info : peer.tensors()) {
    constexpr std::string_view kSuffix = ".blocks";
    if (!info.name.ends_with(kSuffix) || info.name.starts_with("encode.")) continue;
    const std::string name = info.name.substr(0, info.name.size() - kSuffix.size());
    SCOPED_TRACE(name);
    const BlockType* type = find_block_type(name);
    ASSERT_NE(type, nullptr);
    const Tensor blocks = peer.read(info.name), expected = peer.read(name + ".dequantized");
    EXPECT_EQ(blocks.dim(1), type->bytes * (expected.dim(1) / type->values));
    Tensor values = Tensor::zeros(DType::kF32, expected.shape());
    for (std::int64_t b = 0; b < expected.numel() / type->values; ++b)
      type->decode(blocks.data<std::uint8_t>() + b * type->bytes,
                   values.mutable_data<float>() + b * type->values);
    std::int64_t different = 0;
    for (std::int64_t i = 0; i < values.numel(); ++i)
      different += values.data<float>()[i] != expected.data<float>()[i];
    EXPECT_EQ(different, 0);
    ++compared;
  }
  EXPECT_EQ(compared, 16);
}

// Blocks of bytes from a generator that is a line in any language, every scale below 2.
std::vector<std::uint8_t> generated_blocks(const BlockType& type, int count, std::int64_t byte_of_exponent) {
  std::vector<std::uint8_t> blocks(static_cast<std::size_t>(count * type.bytes));
  std::uint32_t state = 1;
  for (std::uint8_t& byte : blocks) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  for (std::int64_t b = 0; b < count; ++b)
    blocks[static_cast<std::size_t>(b * type.bytes + byte_of_exponent)] &= 0xBF;
  return blocks;
}

// What gguf 0.19.0 for Python makes of 1024 such blocks: the first values, and the hash of all.
TEST(GgufBlocks, WithCodebooksDecodeToThePeersValues) {
  struct Expected {
    std::string_view type;
    std::int64_t byte_of_exponent;
    std::array<float, 4> first;
    std::string_view sha256;
  };
  constexpr Expected kExpected[] = {
      {"IQ2_XXS",
       1,
       {0.1278533935546875f, -0.1278533935546875f, -0.6872119903564453f, 0.1278533935546875f},
       "03539966cc0f2a358da0d17a1484102420f66bb2a76e874943ecef3e90a9574b"},
      {"IQ2_XS",
       1,
       {0.0304412841796875f, -0.0304412841796875f, 0.1636219024658203f, -0.0304412841796875f},
       "81d123853fd16fdaa7074a53208f188c98f4a86b10d134190cf6f9d4d9d54cff"},
      {"IQ2_S",
       1,
       {-0.1400299072265625f, -0.1400299072265625f, 0.1400299072265625f, 0.4375934600830078f},
       "b64051fee8a1db0838dc3c4d913faacb30d09656906abdbcd0287e2eb336ccf3"},
      {"IQ3_XXS",
       1,
       {1.3698577880859375f, -2.3591995239257812f, 1.0654449462890625f, 0.7610321044921875f},
       "a24960b3896e19632c1be341c30147645ce9ed04b860cd7672215514105e317e"},
      {"IQ3_S",
       1,
       {-0.9802093505859375f, -0.1400299072265625f, 0.4200897216796875f, -0.4200897216796875f},
       "bdbb95a6c5571683c39f55d9e00f953ea4bde21d3327231bfc9df8062701578b"},
      {"IQ1_S",
       1,
       {-0.0007610321044921875f, -0.0007610321044921875f, 0.0053272247314453125f, -0.0068492889404296875f},
       "3f21d745ca562145ea83b84e74b41842bf08f75ea01bbb1fb8ff35eb4f163772"},
      {"IQ1_M",
       55,
       {0.0007855519652366638f, 8.728355169296265e-05f, 0.0007855519652366638f, -0.0006109848618507385f},
       "c3f7ce8a7f022f23fbbe02de45bbafbb88b1d81f2bd4796bf98da95582899e96"},
  };
  constexpr int kBlocks = 1024;
  for (const Expected& expected : kExpected) {
    SCOPED_TRACE(expected.type);
    const BlockType& type = *find_block_type(expected.type);
    const std::vector<std::uint8_t> blocks = generated_blocks(type, kBlocks, expected.byte_of_exponent);
    std::vector<float> values(static_cast<std::size_t>(kBlocks * type.values));
    for (std::int64_t b = 0; b < kBlocks; ++b)
      type.decode(blocks.data() + b * type.bytes, values.data() + b * type.values);
    for (std::size_t i = 0; i < expected.first.size(); ++i) EXPECT_EQ(values[i], expected.first[i]) << i;
    Sha256 hash;
    hash.update(std::as_bytes(std::span(values)));
    EXPECT_EQ(hash.finish(), expected.sha256);
  }
}

// A code that a block can hold must be a codeword: there is no other bound.
TEST(GgufBlocks, CodebooksAreAsLongAsTheirCodes) {
  EXPECT_EQ(iq2_xxs_codebook().size(), 256u);
  EXPECT_EQ(iq2_xs_codebook().size(), 512u);
  EXPECT_EQ(iq2_s_codebook().size(), 1024u);
  EXPECT_EQ(iq1_codebook().size(), 2048u);
  EXPECT_EQ(iq3_xxs_codebook().size(), 256u);
  EXPECT_EQ(iq3_s_codebook().size(), 512u);
}

}  // namespace
}  // namespace farthing::checkpoint::gguf
