#include "formats/gguf/mixture.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace farthing::formats::gguf {
namespace {

class MixtureTest : public testing::Test {
 protected:
  std::string type(std::string_view mixture, const std::string& tensor, std::int64_t columns = 4096,
                   std::int64_t rank = 2) const {
    return std::string(choose_type(*find_mixture(mixture), model_, {tensor, columns, rank}).type);
  }

  ModelFacts model_ = {.num_blocks = 32, .num_heads = 32, .num_key_value_heads = 8};
};

TEST_F(MixtureTest, NamesAreKnownInAnyCase) {
  EXPECT_EQ(find_mixture("q4_k_m")->file_type, 15u);
  EXPECT_EQ(find_mixture("Q4_K")->name, "Q4_K_M");
  EXPECT_EQ(find_mixture("Q9"), nullptr);
  EXPECT_EQ(find_mixture("W4A16"), nullptr);
}

TEST_F(MixtureTest, MediumMixturesGiveMoreBitsToSomeBlocks) {
  for (const char* kind : {"attn_v", "ffn_down"}) {
    std::string blocks;  // of Q4_K_M with 32 blocks: the first and last 4, and every third
    for (int i = 0; i < 32; ++i)
      blocks += type("Q4_K_M", fmt::format("blk.{}.{}.weight", i, kind)) == "Q6_K" ? '6' : '4';
    EXPECT_EQ(blocks, "66664464464464464464464464466666") << kind;
  }
  EXPECT_EQ(type("Q4_K_M", "blk.0.attn_q.weight"), "Q4_K");
  EXPECT_EQ(type("Q4_K_M", "output.weight"), "Q6_K");
  EXPECT_EQ(type("Q4_K_M", "token_embd.weight"), "Q4_K");
  EXPECT_EQ(type("Q5_K_M", "blk.3.ffn_down.weight"), "Q6_K");
  EXPECT_EQ(type("Q4_K_S", "blk.3.attn_v.weight"), "Q5_K");
  EXPECT_EQ(type("Q4_K_S", "blk.4.attn_v.weight"), "Q4_K");
  EXPECT_EQ(type("Q3_K_M", "blk.1.attn_v.weight"), "Q5_K");
  EXPECT_EQ(type("Q3_K_M", "blk.2.ffn_down.weight"), "Q4_K");
  EXPECT_EQ(type("Q2_K", "blk.2.attn_v.weight"), "Q4_K");
  EXPECT_EQ(type("Q2_K", "blk.2.attn_output.weight"), "Q3_K");
  EXPECT_EQ(type("IQ4_XS", "blk.0.ffn_down.weight"), "Q5_K");
  model_.has_importance = true;
  EXPECT_EQ(type("IQ4_XS", "blk.0.ffn_down.weight"), "IQ4_XS");
}

TEST_F(MixtureTest, SingleTypesAreForEverythingAndVectorsStayPlain) {
  for (const char* name : {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "BF16", "F32"}) {
    EXPECT_EQ(type(name, "output.weight"), name);
    EXPECT_EQ(type(name, "token_embd.weight"), name);
    EXPECT_EQ(type(name, "blk.0.attn_norm.weight", 4096, 1), "F32");
    EXPECT_EQ(type(name, "blk.0.attn_q.bias", 4096, 1), "F32");
  }
}

TEST_F(MixtureTest, ATiedEmbeddingIsTheHead) {
  model_.has_head = false;
  EXPECT_EQ(type("Q4_K_M", "token_embd.weight"), "Q6_K");
  EXPECT_EQ(type("Q8_0", "token_embd.weight"), "Q8_0");
}

TEST_F(MixtureTest, RowsWithoutWholeBlocksGetShorterOnes) {
  EXPECT_EQ(type("Q4_K_M", "blk.9.attn_q.weight", 576), "Q5_0");
  EXPECT_EQ(type("Q5_K_M", "blk.9.attn_q.weight", 576), "Q5_1");
  EXPECT_EQ(type("Q6_K", "blk.9.attn_q.weight", 576), "Q8_0");
  EXPECT_EQ(type("Q2_K", "blk.9.attn_q.weight", 576), "IQ4_NL");
  EXPECT_EQ(type("Q8_0", "blk.9.attn_q.weight", 100), "F16");
  EXPECT_NE(choose_type(*find_mixture("Q4_K_M"), model_, {"blk.9.attn_q.weight", 576, 2}).deviation, "");
  EXPECT_EQ(choose_type(*find_mixture("Q4_K_M"), model_, {"blk.9.attn_q.weight", 512, 2}).deviation, "");
}

}  // namespace
}  // namespace farthing::formats::gguf
