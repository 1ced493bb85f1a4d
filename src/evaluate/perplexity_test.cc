// The protocol of the GPTQ paper against a plain sum over full logits.
#include "evaluate/perplexity.h"

#include <cmath>

#include <gtest/gtest.h>

#include "checkpoint/test_files.h"
#include "generate/engine.h"

namespace farthing::evaluate {
namespace {

namespace fs = std::filesystem;
using checkpoint::expect_error;
using Ids = std::vector<std::int32_t>;

models::Model open(const std::string& name) {
  return models::Model::open(fs::path(FARTHING_SOURCE_DIR) / "tests" / "data" / "families" / name);
}

Ids some_ids(std::size_t count) {
  Ids ids;
  for (std::size_t t = 0; t < count; ++t)
    ids.push_back(static_cast<std::int32_t>((7 + 31 * t + t * t * 3) % 320));
  return ids;
}

class PerplexityTest : public testing::Test {
 protected:
  Perplexity measure(const Ids& ids, const PerplexityOptions& options, models::Model* base = nullptr) {
    return measure_perplexity(model_, base, ids, options, pool_, reporter_, cancel_);
  }

  // -sum log p(id[t + 1]) of one window, in double.
  double plain_nll(std::span<const std::int32_t> ids) {
    const Tensor logits = generate::prompt_logits(model_, {.ids = Ids(ids.begin(), ids.end())}, pool_);
    double nll = 0;
    for (std::size_t t = 0; t + 1 < ids.size(); ++t) {
      const float* row = logits.data<float>() + static_cast<std::int64_t>(t) * logits.dim(1);
      double sum = 0;
      for (std::int64_t v = 0; v < logits.dim(1); ++v) sum += std::exp(static_cast<double>(row[v]));
      nll += std::log(sum) - row[ids[t + 1]];
    }
    return nll;
  }

  models::Model model_ = open("llama");
  ThreadPool pool_{2};
  Reporter reporter_;
  CancelToken cancel_;
};

TEST_F(PerplexityTest, IsTheMeanOverWindowsWithoutTheirFirstTokens) {
  const Ids ids = some_ids(3 * 40 + 39);  // the tail is almost a window and does not count
  const Perplexity result = measure(ids, {.window = 40});
  ASSERT_EQ(result.window_nll.size(), 3u);
  double sum = 0;
  for (std::size_t w = 0; w < 3; ++w) {
    const double wanted = plain_nll(std::span(ids).subspan(w * 40, 40));
    EXPECT_NEAR(result.window_nll[w], wanted, 1e-3) << w;
    sum += wanted;
  }
  EXPECT_EQ(result.tokens, 3 * 39);
  EXPECT_EQ(result.window, 40);
  EXPECT_NEAR(result.nll, sum, 1e-3);
  EXPECT_NEAR(result.perplexity, std::exp(sum / (3 * 39)), 1e-2);
  EXPECT_FALSE(result.divergence.has_value());
}

TEST_F(PerplexityTest, TheLimitCountsWindows) {
  const Ids ids = some_ids(100);
  EXPECT_EQ(measure(ids, {.window = 10, .limit = 4}).window_nll.size(), 4u);
  EXPECT_EQ(measure(ids, {.window = 10, .limit = 99}).window_nll.size(), 10u);
  EXPECT_EQ(measure(ids, {.window = 10, .limit = 1}).window_nll[0],
            measure(ids, {.window = 10}).window_nll[0]);
}

TEST_F(PerplexityTest, TheBaseIsMeasuredAtEveryPosition) {
  models::Model same = open("llama"), other = open("qwen3");
  const Ids ids = some_ids(64);
  const Perplexity alone = measure(ids, {.window = 32});
  const Perplexity with_itself = measure(ids, {.window = 32}, &same);
  EXPECT_EQ(with_itself.perplexity, alone.perplexity);
  EXPECT_EQ(with_itself.divergence.value().count, 64);
  EXPECT_EQ(with_itself.divergence->kl_mean, 0);
  EXPECT_EQ(with_itself.divergence->top1_agreement, 1);
  const Perplexity with_other = measure(ids, {.window = 32}, &other);
  EXPECT_GT(with_other.divergence.value().kl_mean, 0);
  EXPECT_GE(with_other.divergence->kl_p99, with_other.divergence->kl_mean);
  EXPECT_LT(with_other.divergence->top1_agreement, 1);
}

TEST_F(PerplexityTest, RefusesWhatItCannotMeasure) {
  const Ids ids = some_ids(200);
  expect_error(Code::kInvalidArgument, {"window=129", "max_position_embeddings=128", "--window 128"},
               [&] { measure(ids, {.window = 129}); });
  expect_error(Code::kInvalidArgument, {"tokens=30", "--window 30"},
               [&] { measure(some_ids(30), {.window = 31}); });
  expect_error(Code::kInvalidArgument, {"at least two tokens"}, [&] { measure(ids, {.window = 1}); });
  expect_error(Code::kInvalidArgument, {"shorter than one window"}, [&] { measure({}, {.window = 2}); });
  expect_error(Code::kInvalidArgument, {"id=320", "vocab_size=320"}, [&] {
    measure({1, 320}, {.window = 2});
  });
}

// The base reads the same windows, with its own table of positions and its own vocabulary.
TEST_F(PerplexityTest, TheBaseMustBeAbleToReadTheWindows) {
  models::Model opt = open("opt-350m");
  expect_error(Code::kInvalidArgument, {"window=65", "max_position_embeddings=64"},
               [&] { measure(some_ids(200), {.window = 65}, &opt); });
  models::Model tiny = models::Model::open(fs::path(FARTHING_SOURCE_DIR) / "models" / "tiny-llava-21m");
  expect_error(Code::kInvalidArgument, {"base=4096", "model=320", "--base"},
               [&] { measure(some_ids(20), {.window = 10}, &tiny); });
}

TEST_F(PerplexityTest, StopsBetweenWindows) {
  class Stopper : public Reporter {
   public:
    explicit Stopper(CancelToken& cancel) : cancel_(cancel) {}
    void progress(const Progress& progress) override {
      EXPECT_EQ(progress.total, 20);
      if ((done = progress.done) == 3) cancel_.request(2);
    }
    std::int64_t done = 0;

   private:
    CancelToken& cancel_;
  } stopper(cancel_);
  const Ids ids = some_ids(200);
  expect_error(Code::kCancelled, {},
               [&] { measure_perplexity(model_, nullptr, ids, {.window = 10}, pool_, stopper, cancel_); });
  EXPECT_EQ(stopper.done, 3);
}

}  // namespace
}  // namespace farthing::evaluate
