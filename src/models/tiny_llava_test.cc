// The demo model: its answers about photos and its perplexity, against transformers in fp32 on the stored
// bf16 weights.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include "kernels/elementwise.h"
#include "models/model.h"

namespace farthing::models {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

class TinyLlava : public testing::Test {
 protected:
  void SetUp() override {
    const char* fixtures = std::getenv("FARTHING_FIXTURES");
    if (fixtures == nullptr) GTEST_SKIP() << "set FARTHING_FIXTURES";
    const fs::path folder = fs::path(fixtures) / "fixtures" / "tiny-llava-21m";
    expected_.emplace(checkpoint::Checkpoint::open(folder / "expected.safetensors"));
    case_ = read_json(folder / "case.json");
    model_.emplace(Model::open(fs::path(FARTHING_SOURCE_DIR) / "models" / "tiny-llava-21m"));
  }

  Ids ids(const std::string& name) const {
    const Tensor tensor = expected_->read(name);
    const auto values = tensor.span<std::int64_t>();
    return Ids(values.begin(), values.end());
  }

  // Greedy ids until as many are there as expected, and the logits of the first step.
  Ids answer(const std::string& picture, std::size_t count, Tensor& first_logits) {
    const Ids prompt = ids(picture + ".input_ids");
    nn::SequenceCache cache = model_->new_cache();
    nn::Batch batch = nn::Batch::of({static_cast<std::int64_t>(prompt.size())});
    batch.caches = {&cache};
    Tensor hidden =
        model_->prepare(prompt, {{"pixel_values", expected_->read(picture + ".pixel_values")}}, pool_).hidden;
    Ids generated;
    while (true) {
      const Tensor last = model_->forward(hidden, batch, pool_);
      const Tensor logits = model_->logits(last.rows(last.dim(0) - 1, last.dim(0)), pool_);
      if (generated.empty()) first_logits = logits;
      const auto values = logits.span<float>();
      generated.push_back(
          static_cast<std::int32_t>(std::max_element(values.begin(), values.end()) - values.begin()));
      if (generated.size() == count) return generated;
      const std::int64_t position = cache.length();
      batch = {
          .lengths = {1}, .positions = {position}, .caches = {&cache}, .context_lengths = {position + 1}};
      hidden = model_->embed(std::span(generated).last(1), batch.positions, pool_);
    }
  }

  ThreadPool pool_{2};
  std::optional<checkpoint::Checkpoint> expected_;
  Json case_;
  std::optional<Model> model_;
};

TEST_F(TinyLlava, AnswersAboutPictures) {
  const float tolerance = case_["tolerance"]["logits_abs"].get<float>();
  for (const auto& [picture, unused] : case_["pictures"].items()) {
    SCOPED_TRACE(picture);
    const Ids wanted = ids(picture + ".generated_ids");
    Tensor logits;
    EXPECT_EQ(answer(picture, wanted.size(), logits), wanted);
    const Tensor wanted_logits = expected_->read(picture + ".logits_last");
    for (std::int64_t i = 0; i < logits.numel(); ++i)
      ASSERT_NEAR(logits.data<float>()[i], wanted_logits.data<float>()[i], tolerance) << i;
  }
}

TEST_F(TinyLlava, PerplexityOfTheFirstWindows) {
  constexpr std::int64_t kWindow = 512, kWindows = 2;
  const Json& reference = case_["perplexity"]["float32"][0];
  ASSERT_EQ(reference["window"].get<std::int64_t>(), kWindow);
  const Ids text = ids("ppl.input_ids");
  for (std::int64_t w = 0; w < kWindows; ++w) {
    const std::span<const std::int32_t> window =
        std::span(text).subspan(static_cast<std::size_t>(w * kWindow), kWindow);
    const nn::Batch batch = nn::Batch::of({kWindow});
    const Tensor logits =
        model_->logits(model_->forward(model_->embed(window, batch.positions, pool_), batch, pool_), pool_);
    double sum = 0;
    for (std::int64_t t = 0; t + 1 < kWindow; ++t) {
      std::int64_t largest = 0;
      const float* row = logits.data<float>() + t * logits.dim(1);
      sum +=
          kernels::log_sum_exp(row, logits.dim(1), &largest) - row[window[static_cast<std::size_t>(t + 1)]];
    }
    EXPECT_NEAR(sum, reference["nll_per_window"][static_cast<std::size_t>(w)].get<double>(), 0.01);
  }
}

}  // namespace
}  // namespace farthing::models
