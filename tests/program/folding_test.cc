// A table over the registry: scales move along every folding pair of a small model at once, and its logits
// stay what they were, with pictures and sounds where the family takes them. Every family has a pair
// in every block of its decoder: one that cannot have it must say so here, and why.
#include <algorithm>
#include <cmath>
#include <random>

#include "tests/program/program.h"
#include "tests/program/small_models.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/folded_source.h"
#include "models/model.h"
#include "models/prompt.h"

namespace farthing::program {
namespace {

constexpr double kTolerance = 2e-4;  // of the largest logit: a few thousand roundings of fp32

ThreadPool& pool() {
  static ThreadPool instance(2);
  return instance;
}

models::Prompt prompt_of(const TemporaryFolder& folder, const nn::ModelSpec& spec) {
  const auto processor =
      models::PromptProcessor::open(folder / "model", std::make_shared<const nn::ModelSpec>(spec));
  const std::string text = letters(24, 3);
  if (spec.audio) {
    write_wav(folder / "sound.wav", spec);
    const std::vector<audio::Waveform> sounds = {audio::open(folder / "sound.wav")};
    return processor.encode_sounds(processor.placeholder() + text, sounds, true);
  }
  if (!spec.vision) return processor.encode(text, {}, true);
  write_bmp(folder / "picture.bmp", 30, 20);
  const std::vector<image::Image> pictures = {
      image::open(folder / "picture.bmp", processor.decode_options())};
  return processor.encode(placeholder_of(spec) + text, pictures, true);
}

Tensor logits_of(const nn::ModelSpec& spec, std::shared_ptr<const nn::WeightSource> source,
                 const models::Prompt& prompt) {
  models::Model model(spec, std::move(source));
  models::Prepared prepared = model.prepare(prompt.ids, prompt.pictures, pool());
  const nn::Batch batch = prepared.batch();
  return model.logits(model.forward(std::move(prepared.hidden), batch, pool()), pool());
}

// The largest difference, as a share of the largest logit.
double difference(const Tensor& a, const Tensor& b) {
  double largest = 0.0, apart = 0.0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double x = a.data<float>()[i], y = b.data<float>()[i];
    if (!std::isfinite(x) || !std::isfinite(y)) return INFINITY;
    largest = std::max(largest, std::fabs(x));
    apart = std::max(apart, std::fabs(x - y));
  }
  return apart / largest;
}

class FoldedFamily : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    spec_ = write_small_model(folder_ / "model", small_config(GetParam()));
    source_ = std::make_shared<const models::CheckpointSource>(
        std::make_shared<const checkpoint::Checkpoint>(checkpoint::Checkpoint::open(folder_ / "model")),
        spec_);
    pairs_ = models::folding_pairs_of(spec_);
  }

  // Factors from 1/4 to 4 of no pattern; with `readers` false the inputs that should make up for them do not.
  std::shared_ptr<const nn::WeightSource> folded(bool readers) const {
    const auto result = std::make_shared<models::FoldedSource>(source_, pool());
    std::mt19937 random(17);
    for (models::FoldingPair pair : pairs_) {
      const auto weight = std::get<Tensor>(source_->linear_weight(pair.balance.front()));
      std::vector<float> scale(static_cast<std::size_t>(weight.dim(1)));
      for (float& factor : scale) factor = std::exp2(static_cast<float>(random() % 4001) / 1000.0f - 2.0f);
      if (!readers) pair.balance.clear();
      result->fold(pair, std::move(scale));
    }
    return result;
  }

  TemporaryFolder folder_;
  nn::ModelSpec spec_;
  std::shared_ptr<const models::CheckpointSource> source_;
  std::vector<models::FoldingPair> pairs_;
};

TEST_P(FoldedFamily, KeepsItsLogits) {
  const models::Prompt prompt = prompt_of(folder_, spec_);
  const Tensor wanted = logits_of(spec_, source_, prompt);
  EXPECT_LT(difference(wanted, logits_of(spec_, folded(true), prompt)), kTolerance);
  EXPECT_GT(difference(wanted, logits_of(spec_, folded(false), prompt)), 100 * kTolerance);
}

TEST_P(FoldedFamily, HasAPairInEveryBlock) {
  for (std::size_t i = 0; i < spec_.decoder.blocks.size(); ++i) {
    const std::string path = fmt::format("{}.{}.{}.", spec_.decoder.path, spec_.decoder.layers, i);
    EXPECT_TRUE(std::any_of(pairs_.begin(), pairs_.end(), [&](const models::FoldingPair& pair) {
      return pair.smooth.starts_with(path);
    })) << path;
  }
}

std::vector<std::string> all_families() {
  std::vector<std::string> names;
  for (const models::Family& family : models::families()) names.emplace_back(family.model_type);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Registry, FoldedFamily, testing::ValuesIn(all_families()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace farthing::program
