// Generation against the full forward pass over prompt and answer, alone and in ragged batches.
#include "generate/engine.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/test_files.h"

namespace farthing::generate {
namespace {

namespace fs = std::filesystem;
using checkpoint::expect_error;
using testing::ElementsAreArray;
using testing::IsEmpty;
using Ids = std::vector<std::int32_t>;

fs::path family(const std::string& name) {
  return fs::path(FARTHING_SOURCE_DIR) / "tests" / "data" / "families" / name;
}

models::Prompt prompt_of(std::int64_t length, std::int32_t first = 5) {
  models::Prompt prompt;
  for (std::int64_t t = 0; t < length; ++t)
    prompt.ids.push_back(static_cast<std::int32_t>((first + 37 * t + t * t) % 300));
  return prompt;
}

class Engine : public testing::TestWithParam<const char*> {
 protected:
  std::vector<Generation> generate(const std::vector<models::Prompt>& prompts,
                                   const GenerationOptions& options, const TokenSink& sink = {}) {
    return farthing::generate::generate(model_, prompts, options, pool_, cancel_, sink);
  }

  Generation one(const models::Prompt& prompt, std::int64_t max_tokens) {
    return generate({prompt}, {.max_tokens = max_tokens}).front();
  }

  models::Model model_ = models::Model::open(family(GetParam()));
  ThreadPool pool_{2};
  CancelToken cancel_;
};

// What comes out with a cache, token by token, is what one pass over everything would have chosen.
TEST_P(Engine, GreedyContinuesAsTheFullForwardDoes) {
  const models::Prompt prompt = prompt_of(9);
  const Generation answer = one(prompt, 12);
  ASSERT_EQ(answer.ids.size(), 12u);
  EXPECT_EQ(answer.reason, FinishReason::kLength);
  models::Prompt whole = prompt;
  whole.ids.insert(whole.ids.end(), answer.ids.begin(), answer.ids.end());
  const Tensor logits = prompt_logits(model_, whole, pool_);
  ASSERT_EQ(logits.dim(0), static_cast<std::int64_t>(whole.ids.size()));
  for (std::size_t n = 0; n < answer.ids.size(); ++n) {
    const auto row = static_cast<std::int64_t>(prompt.ids.size() + n) - 1;
    const Tensor row_logits = logits.rows(row, row + 1);
    const auto values = row_logits.span<float>();
    EXPECT_GE(values[static_cast<std::size_t>(answer.ids[n])],
              *std::max_element(values.begin(), values.end()) - 1e-4f)
        << n;
    if (n > 0) continue;
    for (std::size_t v = 0; v < values.size(); ++v)
      ASSERT_NEAR(answer.first_logits.span<float>()[v], values[v], 1e-4f);
  }
}

TEST_P(Engine, ARaggedBatchEqualsOneByOne) {
  const std::vector<models::Prompt> prompts = {prompt_of(3), prompt_of(17, 8), prompt_of(1, 99),
                                               prompt_of(6, 2)};
  const auto together = generate(prompts, {.max_tokens = 8});
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const Generation alone = one(prompts[i], 8);
    EXPECT_EQ(together[i].ids, alone.ids) << i;
    for (std::int64_t v = 0; v < alone.first_logits.numel(); ++v)
      ASSERT_NEAR(together[i].first_logits.data<float>()[v], alone.first_logits.data<float>()[v], 1e-4f) << i;
  }
}

// One sequence of a batch ends, the others go on as if nothing had happened.
TEST_P(Engine, EndsOfSequenceAreKeptAndEndOnlyTheirOwn) {
  const std::vector<models::Prompt> prompts = {prompt_of(3), prompt_of(10, 8)};
  const auto free = generate(prompts, {.max_tokens = 10});
  const std::int32_t end = free[0].ids[2];
  const auto stopped = generate(prompts, {.max_tokens = 10, .end_of_sequence_ids = {end, 318}});
  for (std::size_t i = 0; i < 2; ++i) {
    const auto found = std::find(free[i].ids.begin(), free[i].ids.end(), end);
    const bool stops = found != free[i].ids.end();
    EXPECT_THAT(stopped[i].ids, ElementsAreArray(free[i].ids.begin(), stops ? found + 1 : found)) << i;
    EXPECT_EQ(stopped[i].reason, stops ? FinishReason::kStop : FinishReason::kLength) << i;
  }
}

TEST_P(Engine, TheSinkSeesEveryTokenAndMayEndIt) {
  const std::vector<models::Prompt> prompts = {prompt_of(3), prompt_of(5)};
  std::vector<Ids> seen(2);
  const auto answers = generate(prompts, {.max_tokens = 6}, [&](std::size_t index, std::int32_t id) {
    seen.at(index).push_back(id);
    return index == 0 || seen[1].size() < 2;
  });
  EXPECT_EQ(answers[0].ids, seen[0]);
  EXPECT_EQ(answers[0].ids.size(), 6u);
  EXPECT_EQ(answers[1].ids, seen[1]);
  EXPECT_EQ(answers[1].ids.size(), 2u);
  EXPECT_EQ(answers[1].reason, FinishReason::kStop);
}

TEST_P(Engine, CancellingKeepsWhatIsThere) {
  const auto answers =
      generate({prompt_of(3), prompt_of(5)}, {.max_tokens = 50}, [&](std::size_t index, std::int32_t) {
        if (index == 1) cancel_.request(2);
        return true;
      });
  EXPECT_EQ(answers[1].reason, FinishReason::kCancelled);
  EXPECT_EQ(answers[1].ids.size(), 1u);
  EXPECT_EQ(answers[0].reason, FinishReason::kCancelled);
  EXPECT_EQ(answers[0].ids.size(), 2u) << "its turn comes first in a step";
}

TEST_P(Engine, SamplingFollowsTheSeed) {
  const auto sample = [&](std::uint64_t seed) {
    return generate({prompt_of(4), prompt_of(4)},
                    {.max_tokens = 12, .sampling = {.temperature = 2, .seed = seed}});
  };
  const auto first = sample(1), again = sample(1), other = sample(50);
  EXPECT_EQ(first[0].ids, again[0].ids);
  EXPECT_EQ(first[1].ids, again[1].ids);
  EXPECT_NE(first[0].ids, other[0].ids);
  EXPECT_NE(first[0].ids, first[1].ids) << "equal prompts of a batch are drawn apart";
}

TEST_P(Engine, NoTokensAndNoPromptsAreFine) {
  const Generation none = one(prompt_of(4), 0);
  EXPECT_THAT(none.ids, IsEmpty());
  EXPECT_EQ(none.reason, FinishReason::kLength);
  EXPECT_TRUE(none.first_logits.defined());
  EXPECT_THAT(generate({}, {}), IsEmpty());
}

TEST_P(Engine, RefusesWhatItCannotRead) {
  expect_error(Code::kInvalidArgument, {"the prompt is empty"}, [&] { one({}, 3); });
  expect_error(Code::kInvalidArgument, {"320"}, [&] { one({.ids = {1, 320}}, 3); });
  expect_error(Code::kInvalidArgument, {"-1"}, [&] { one({.ids = {1, -1}}, 3); });
}

INSTANTIATE_TEST_SUITE_P(Models, Engine, testing::Values("llama", "opt-350m", "qwen3"), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// A learned position table ends; rotary positions go on.
TEST(Positions, EndWhereTheTableEnds) {
  ThreadPool pool(1);
  const CancelToken cancel;
  models::Model opt = models::Model::open(family("opt-350m")), llama = models::Model::open(family("llama"));
  const std::vector<models::Prompt> prompts = {prompt_of(60)};
  EXPECT_EQ(generate(opt, prompts, {.max_tokens = 4}, pool, cancel)[0].ids.size(), 4u);
  expect_error(Code::kInvalidArgument, {"prompt_tokens=60", "max_position_embeddings=64", "--max-tokens"},
               [&] { generate(opt, prompts, {.max_tokens = 5}, pool, cancel); });
  const std::vector<models::Prompt> longer = {prompt_of(126)};
  EXPECT_EQ(generate(llama, longer, {.max_tokens = 4}, pool, cancel)[0].ids.size(), 4u);
}

TEST(Times, CountWhatWasDecoded) {
  ThreadPool pool(1);
  const CancelToken cancel;
  models::Model model = models::Model::open(family("llama"));
  const std::vector<models::Prompt> prompts = {prompt_of(4), prompt_of(9)};
  GenerationTimes times;
  generate(model, prompts, {.max_tokens = 5}, pool, cancel, {}, &times);
  EXPECT_EQ(times.decoded_tokens, 8) << "the first token of each comes from the prefill";
  EXPECT_GT(times.prefill_seconds, 0);
  EXPECT_GT(times.cache_bytes, 0u);
}

}  // namespace
}  // namespace farthing::generate
