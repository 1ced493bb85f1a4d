// Every text family's small checkpoint: quantized by rounding and by GPTQ, opened again, run and compared
// with the original; and mixtures of experts under calibration.
#include <cmath>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "calibrate/calibration_set.h"
#include "checkpoint/test_files.h"
#include "models/model.h"
#include "models/test_weights.h"
#include "quantize/pipeline.h"

namespace farthing::quantize {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::vector<std::string> text_families() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(fs::path(FARTHING_SOURCE_DIR) / "tests/data/families"))
    if (const Json config = read_json(entry.path() / "config.json"); !config.contains("vision_config") &&
                                                                     !config.contains("audio_config") &&
                                                                     config["model_type"] != "whisper")
      names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

fs::path folder_of(const std::string& name) {
  return models::with_weights(fs::path(FARTHING_SOURCE_DIR) / "tests/data/families" / name);
}

std::vector<std::int32_t> some_ids(std::int64_t vocab_size, std::int64_t count, std::int32_t seed) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>((seed + i * (7 + seed) + i * i) % vocab_size));
  return ids;
}

calibrate::CalibrationSet calibration_for(const nn::ModelSpec& spec, int samples, std::int64_t length) {
  calibrate::CalibrationSet set;
  for (int i = 0; i < samples; ++i) {
    calibrate::Sample sample;
    sample.prompt.ids = some_ids(spec.decoder.vocab_size, length, i);
    set.samples.push_back(std::move(sample));
  }
  set.ledger.samples = samples;
  set.ledger.tokens = samples * length;
  return set;
}

std::vector<float> logits_of(const fs::path& folder) {
  ThreadPool pool(1);
  models::Model model = models::Model::open(folder);
  const std::vector<std::int32_t> ids = some_ids(model.spec().decoder.vocab_size, 20, 5);
  const nn::Batch batch = nn::Batch::of({20});
  const Tensor hidden = model.forward(model.embed(ids, batch.positions, pool), batch, pool);
  const Tensor logits = model.logits(hidden, pool);
  return {logits.data<float>(), logits.data<float>() + logits.numel()};
}

// |a - b| / |b|.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / size);
}

struct Quantized {
  plan::QuantizeResult result;
  std::vector<float> logits;
};

class TextFamilies : public testing::TestWithParam<std::string> {
 protected:
  Quantized quantize(const std::string& name, const plan::RecipeFlags& flags, bool all_experts = false,
                     std::int64_t tokens = 24) {
    const fs::path model = folder_of(name);
    const auto source = std::make_shared<const checkpoint::Checkpoint>(checkpoint::Checkpoint::open(model));
    const Json config = source->config();
    const nn::ModelSpec spec = models::declare(models::Config(config));
    const plan::QuantizePlan plan =
        plan::make_plan(*source, config, spec, plan::recipe_from_flags(flags, true), {.model_name = name});
    const calibrate::CalibrationSet calibration = calibration_for(spec, tokens > 8 ? 4 : 1, tokens);
    ThreadPool pool(1);
    Reporter silent;
    const fs::path output = folder_ / "out";
    Quantized quantized;
    quantized.result = run(plan, source, &calibration,
                           {.output = output, .overwrite = true, .calibrates_all_experts = all_experts}, pool,
                           silent, CancelToken());
    quantized.logits = logits_of(output);
    return quantized;
  }

  checkpoint::TemporaryFolder folder_;
};

plan::RecipeFlags flags(const std::string& method, int bits) {
  plan::RecipeFlags flags;
  flags.method = method;
  flags.bits = bits;
  flags.group_size = -1;
  return flags;
}

TEST_P(TextFamilies, RoundedAndCalibratedTheyRun) {
  const std::vector<float> original = logits_of(folder_of(GetParam()));
  const Quantized rounded = quantize(GetParam(), flags("rtn", 8)),
                  calibrated = quantize(GetParam(), flags("gptq", 8));
  EXPECT_GT(distance(rounded.logits, original), 0.0);
  EXPECT_LT(distance(rounded.logits, original), 0.2);
  EXPECT_GT(distance(calibrated.logits, original), 0.0);
  EXPECT_LT(distance(calibrated.logits, original), 0.2);
  for (const auto& [module, what] : calibrated.result.deviations)
    EXPECT_THAT(what, testing::AnyOf(HasSubstr("token"), HasSubstr("outside the decoder"))) << module;
}

INSTANTIATE_TEST_SUITE_P(Data, TextFamilies, testing::ValuesIn(text_families()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

class Experts : public TextFamilies {};

// What the ledger says about routing: every token goes to so many experts.
TEST_P(Experts, AreCountedAndCalibratedOnAllTokensWhenAsked) {
  const Quantized routed = quantize(GetParam(), flags("gptq", 4), false, 8);
  ASSERT_FALSE(routed.result.experts.empty());
  const Json config = read_json(folder_of(GetParam()) / "config.json");
  const nn::ModelSpec spec = models::declare(models::Config(config));
  for (const plan::ExpertTokens& experts : routed.result.experts) {
    const auto sum = std::accumulate(experts.tokens.begin(), experts.tokens.end(), std::int64_t{0});
    EXPECT_EQ(sum, 8 * spec.decoder.blocks.back().moe->num_experts_per_token) << experts.path;
    EXPECT_EQ(routed.result.calibration["experts"][experts.path], Json(experts.tokens));
  }
  const Quantized all = quantize(GetParam(), flags("gptq", 4), true, 8);
  EXPECT_EQ(all.result.calibration["all_experts"], true);
  for (std::size_t i = 0; i < all.result.experts.size(); ++i) {
    const auto& tokens = all.result.experts[i].tokens;
    EXPECT_EQ(std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0}),
              8 * spec.decoder.blocks.back().moe->num_experts_per_token);
  }
  for (const auto& [module, what] : all.result.deviations)
    EXPECT_THAT(what, testing::Not(HasSubstr("no calibration token")));
}

// Two tokens cannot reach every expert; static scales are found all the same.
TEST_P(Experts, WithoutTokensGetTheScalesOfAllTokens) {
  plan::RecipeFlags fp8;
  fp8.scheme = "FP8";
  const Quantized quantized = quantize(GetParam(), fp8, false, 2);
  EXPECT_THAT(quantized.result.deviations,
              testing::Contains(testing::Pair(HasSubstr("experts"), HasSubstr("that of all tokens"))));
  EXPECT_LT(distance(quantized.logits, logits_of(folder_of(GetParam()))), 1.0);
}

// Some experts of a tensor are quantized, the others are cut out of it as they are.
TEST_P(Experts, ThatAreIgnoredStayAsTheyAre) {
  plan::RecipeFlags some = flags("rtn", 8);
  some.ignore = {"re:.*lm_head", "re:.*(router|gate)$", "re:.*experts.1.*"};
  const Quantized quantized = quantize(GetParam(), some);
  EXPECT_LT(distance(quantized.logits, logits_of(folder_of(GetParam()))), 0.2);
  const auto written = checkpoint::Checkpoint::open(folder_ / "out");
  std::size_t dense = 0, packed = 0;
  for (const checkpoint::TensorInfo& info : written.tensors()) {
    EXPECT_FALSE(info.name.ends_with("experts.gate_up_proj") || info.name.ends_with("proj_bias"))
        << info.name;
    dense += info.name.find("experts.1.") != std::string::npos && info.name.ends_with(".weight") ? 1 : 0;
    packed +=
        info.name.find("experts.0.") != std::string::npos && info.name.ends_with(".weight_packed") ? 1 : 0;
  }
  EXPECT_GT(dense, 0u);
  EXPECT_EQ(dense, packed);
}

INSTANTIATE_TEST_SUITE_P(Data, Experts, testing::Values("gpt_oss", "deepseek_v3", "llama4_text", "glm4_moe"));

}  // namespace
}  // namespace farthing::quantize
