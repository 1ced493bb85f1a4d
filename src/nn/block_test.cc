#include "nn/block.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/moe.h"
#include "nn/test_source.h"

namespace farthing::nn {
namespace {

using testing::ElementsAre;

constexpr std::int64_t kHidden = 8, kHeads = 4, kKeyValueHeads = 2, kHeadDim = 4, kWidth = 12;

NormSpec norm(std::string name) {
  return {.kind = NormSpec::Kind::kRms, .name = std::move(name), .size = kHidden};
}

BlockSpec block_spec() {
  return {.class_name = "Block",
          .attention_norm = norm("norm1"),
          .attention = {.name = "attn",
                        .num_heads = kHeads,
                        .num_key_value_heads = kKeyValueHeads,
                        .head_dim = kHeadDim,
                        .inputs = {{"q", kHidden, kHeads * kHeadDim},
                                   {"k", kHidden, kKeyValueHeads * kHeadDim},
                                   {"v", kHidden, kKeyValueHeads * kHeadDim, true}},
                        .output = {"o", kHeads * kHeadDim, kHidden},
                        .rope = RopeSpec{}},
          .mlp_norm = norm("norm2"),
          .mlp = {.name = "mlp",
                  .gate = LinearSpec{"gate", kHidden, kWidth},
                  .up = {"up", kHidden, kWidth},
                  .down = {"down", kWidth, kHidden}}};
}

RandomSource source_for_block() {
  RandomSource source;
  for (const char* name : {"b.norm1", "b.norm2"}) source.add_module(name, {kHidden});
  source.add_module("b.attn.q", {kHeads * kHeadDim, kHidden});
  source.add_module("b.attn.k", {kKeyValueHeads * kHeadDim, kHidden});
  source.add_module("b.attn.v", {kKeyValueHeads * kHeadDim, kHidden});
  source.add_module("b.attn.qkv", {(kHeads + 2 * kKeyValueHeads) * kHeadDim, kHidden});
  source.add_module("b.attn.o", {kHidden, kHeads * kHeadDim});
  source.add_module("b.mlp.gate", {kWidth, kHidden});
  source.add_module("b.mlp.up", {kWidth, kHidden});
  source.add_module("b.mlp.gate_up", {2 * kWidth, kHidden});
  source.add_module("b.mlp.down", {kHidden, kWidth});
  return source;
}

std::vector<float> rows_of(std::int64_t rows, float seed) {
  std::vector<float> x(static_cast<std::size_t>(rows * kHidden));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(seed + 0.37f * static_cast<float>(i));
  return x;
}

class BlockTest : public testing::Test {
 protected:
  ThreadPool pool_{2};
  RandomSource source_ = source_for_block();
  Block block_{block_spec(), "b", 0, source_};
};

TEST_F(BlockTest, SequencesOfABatchDoNotSeeEachOther) {
  std::vector<float> first = rows_of(5, 1.0f), second = rows_of(3, 2.0f), both = first;
  both.insert(both.end(), second.begin(), second.end());
  block_.forward(first.data(), {.pool = pool_, .batch = Batch::of({5})});
  block_.forward(second.data(), {.pool = pool_, .batch = Batch::of({3})});
  block_.forward(both.data(), {.pool = pool_, .batch = Batch::of({5, 3})});
  first.insert(first.end(), second.begin(), second.end());
  for (std::size_t i = 0; i < both.size(); ++i) EXPECT_NEAR(both[i], first[i], 1e-6f) << i;
}

TEST_F(BlockTest, StepsWithACacheEqualOnePass) {
  std::vector<float> whole = rows_of(6, 1.0f), steps = whole;
  block_.forward(whole.data(), {.pool = pool_, .batch = Batch::of({6})});
  SequenceCache cache;
  cache.layers.emplace_back(kKeyValueHeads * kHeadDim, kKeyValueHeads * kHeadDim);
  Scratch scratch;
  for (const auto& [begin, end] : {std::pair{0, 3}, {3, 4}, {4, 6}}) {
    Batch batch{.lengths = {end - begin}, .caches = {&cache}, .context_lengths = {end}};
    for (std::int64_t position = begin; position < end; ++position) batch.positions.push_back(position);
    block_.forward(steps.data() + begin * kHidden, {.pool = pool_, .batch = batch, .scratch = &scratch});
  }
  EXPECT_EQ(cache.length(), 6);
  EXPECT_GE(cache.num_bytes(), 6u * 2u * kKeyValueHeads * kHeadDim * sizeof(float));
  for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(steps[i], whole[i], 1e-6f) << i;

  cache.layers.front().truncate(2);
  EXPECT_EQ(cache.length(), 2);
}

TEST_F(BlockTest, TheObserverSeesEveryGroupWithItsInput) {
  std::vector<std::string> seen;
  const InputObserver observer = [&](std::span<Linear* const> linears, const float* x, std::int64_t rows) {
    EXPECT_NE(x, nullptr);
    EXPECT_EQ(rows, 2);
    std::string group;
    for (const Linear* linear : linears) {
      EXPECT_EQ(linear->in_features(), linears[0]->in_features());
      group += linear->path() + " ";
    }
    seen.push_back(group);
  };
  std::vector<float> x = rows_of(2, 1.0f);
  block_.forward(x.data(), {.pool = pool_, .batch = Batch::of({2}), .observer = &observer});
  EXPECT_THAT(seen,
              ElementsAre("b.attn.q b.attn.k b.attn.v ", "b.attn.o ", "b.mlp.gate b.mlp.up ", "b.mlp.down "));
}

TEST_F(BlockTest, LinearsComeInComputingOrderAndCanBeSwapped) {
  std::vector<std::string> paths;
  for (const Linear* linear : block_.linears()) paths.push_back(linear->path());
  EXPECT_THAT(paths, ElementsAre("b.attn.q", "b.attn.k", "b.attn.v", "b.attn.o", "b.mlp.gate", "b.mlp.up",
                                 "b.mlp.down"));
  EXPECT_THAT(source_.released, ElementsAre("b"));

  // Without what the branches write, a block is the identity.
  block_.linears()[3]->set_weight(Tensor::zeros(DType::kF32, {kHidden, kHeads * kHeadDim}));
  block_.linears()[6]->set_weight(Tensor::zeros(DType::kF32, {kHidden, kWidth}));
  std::vector<float> x = rows_of(3, 1.0f);
  block_.forward(x.data(), {.pool = pool_, .batch = Batch::of({3})});
  EXPECT_EQ(x, rows_of(3, 1.0f));
  EXPECT_THROW(block_.linears()[3]->set_weight(Tensor::zeros(DType::kF32, {kHidden, kHidden})), Error);
}

TEST_F(BlockTest, AWrongShapeNamesTheModule) {
  BlockSpec spec = block_spec();
  spec.mlp.down.in_features = kWidth + 1;
  try {
    const Block block(spec, "b", 0, source_);
    FAIL() << "loaded";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("b.mlp.down"));
  }
}

// Every layout of q, k, v and of gate, up computes what separate matrices with the same rows compute.
class FusedBlock : public BlockTest, public testing::WithParamInterface<QkvLayout> {};

TEST_P(FusedBlock, EqualsSeparateMatrices) {
  BlockSpec spec = block_spec();
  spec.attention.layout = GetParam();
  spec.attention.inputs = {{"qkv", kHidden, (kHeads + 2 * kKeyValueHeads) * kHeadDim}};
  spec.mlp.gate.reset();
  spec.mlp.up = {"gate_up", kHidden, 2 * kWidth};
  spec.mlp.fused_gate_up = true;
  Block fused(spec, "b", 0, source_);

  BlockSpec separate_spec = block_spec();
  separate_spec.attention.inputs[2].bias = false;
  Block separate(separate_spec, "b", 0, source_);
  const Tensor qkv = source_.tensor("b.attn.qkv.weight"), gate_up = source_.tensor("b.mlp.gate_up.weight");
  std::vector<std::int64_t> rows[3];  // of q, k, v within the fused matrix
  for (std::int64_t head = 0; head < kHeads + 2 * kKeyValueHeads; ++head) {
    const std::int64_t in_group = head % (kHeads / kKeyValueHeads + 2);
    const bool grouped = GetParam() == QkvLayout::kPerGroup;
    const std::int64_t which = grouped ? std::max<std::int64_t>(in_group - 1, 0)
                                       : (head < kHeads                    ? 0
                                          : head < kHeads + kKeyValueHeads ? 1
                                                                           : 2);
    for (std::int64_t i = 0; i < kHeadDim; ++i) rows[which].push_back(head * kHeadDim + i);
  }
  for (std::size_t which = 0; which < 3; ++which) {
    Tensor weight = Tensor::empty(DType::kF32, {static_cast<std::int64_t>(rows[which].size()), kHidden});
    for (std::size_t r = 0; r < rows[which].size(); ++r)
      std::copy_n(qkv.data<float>() + rows[which][r] * kHidden, kHidden,
                  weight.mutable_data<float>() + static_cast<std::int64_t>(r) * kHidden);
    separate.linears()[which]->set_weight(weight);
  }
  separate.linears()[4]->set_weight(gate_up.rows(0, kWidth));
  separate.linears()[5]->set_weight(gate_up.rows(kWidth, 2 * kWidth));

  std::vector<float> x = rows_of(5, 1.0f), y = x;
  fused.forward(x.data(), {.pool = pool_, .batch = Batch::of({3, 2})});
  separate.forward(y.data(), {.pool = pool_, .batch = Batch::of({3, 2})});
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-6f) << i;
}

INSTANTIATE_TEST_SUITE_P(Layouts, FusedBlock,
                         testing::Values(QkvLayout::kConcatenated, QkvLayout::kPerGroup));

TEST(MixtureOfExperts, RowsGoToTheirBestExperts) {
  constexpr std::int64_t kExperts = 4;
  RandomSource source;
  source.add_module("b.moe.gate", {kExperts, kHidden});
  for (std::int64_t e = 0; e < kExperts; ++e) {
    const std::string path = "b.moe.experts." + std::to_string(e);
    source.add_module(path + ".up", {kWidth, kHidden});
    source.add_module(path + ".down", {kHidden, kWidth});
  }
  MoeSpec spec{.name = "moe",
               .router = {"gate", kHidden, kExperts},
               .experts_name = "experts",
               .num_experts = kExperts,
               .num_experts_per_token = kExperts,
               .expert = {.up = {"up", kHidden, kWidth}, .down = {"down", kWidth, kHidden}}};
  ThreadPool pool(1);
  Scratch scratch;
  const Batch batch = Batch::of({6});
  std::int64_t expert_rows = 0;
  const InputObserver count = [&](std::span<Linear* const> linears, const float*, std::int64_t rows) {
    if (linears[0]->path().ends_with(".up")) expert_rows += rows;
  };
  const ForwardContext context{.pool = pool, .batch = batch, .observer = &count, .scratch = &scratch};
  const std::vector<float> x = rows_of(6, 1.0f);
  std::vector<float> all(x.size()), few(x.size());
  MixtureOfExperts(spec, "b", source).forward(x.data(), 6, all.data(), context);
  EXPECT_EQ(expert_rows, 6 * kExperts);
  spec.num_experts_per_token = 2;
  expert_rows = 0;
  MixtureOfExperts(spec, "b", source).forward(x.data(), 6, few.data(), context);
  EXPECT_EQ(expert_rows, 6 * 2);
  EXPECT_NE(all, few);
}

}  // namespace
}  // namespace farthing::nn
