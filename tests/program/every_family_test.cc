// A table over the registry: a small model of every family is quantized by rounding, by GPTQ and by AWQ,
// asked something, and scored against the original, with pictures and sounds where the family takes them. A
// family without a row here fails.
#include <algorithm>
#include <fstream>

#include "tests/program/program.h"
#include "tests/program/small_models.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/family.h"

namespace farthing::program {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> all_families() {
  std::vector<std::string> names;
  for (const models::Family& family : models::families()) names.emplace_back(family.model_type);
  return names;
}

// calibration.jsonl: prompts about a picture or a sound where the family takes them, else texts.
void write_prompts(const TemporaryFolder& folder, const nn::ModelSpec& spec) {
  if (spec.vision) write_bmp(folder / "picture.bmp", 30, 20);
  if (spec.audio) write_wav(folder / "sound.wav", spec);
  std::ofstream file(folder / "calibration.jsonl");
  for (unsigned i = 0; i < 6; ++i) {
    Json row = {{"text", letters(12, i)}};
    if (spec.audio) row["audio"] = "sound.wav";
    if (spec.vision) {
      row = {{"messages",
              {{{"role", "user"},
                {"content", {{{"type", "image"}}, {{"type", "text"}, {"text", letters(12, i)}}}}}}},
             {"images", {"picture.bmp"}}};
    }
    file << row.dump() << "\n";
  }
}

class EveryFamily : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    spec_ = write_small_model(model(), small_config(GetParam()));
    std::ofstream(text()) << letters(400, 5);
    write_prompts(folder_, spec_);
  }

  std::string model() const { return folder_ / "model"; }
  std::string text() const { return folder_ / "text.txt"; }
  std::string calibration() const { return folder_ / "calibration.jsonl"; }

  Json quantize(const std::string& method, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"quantize",      model(),       "-o",
                                          folder_ / "out", "--overwrite", "--json"};
    for (const auto& [flag, value] : {std::pair<std::string, std::string>("--method", method),
                                      {"--scheme", "W8A16"},
                                      {"--group-size", "-1"},
                                      {"--calibration", calibration()},
                                      {"--samples", "6"}})
      arguments.insert(arguments.end(), {flag, value});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome done = run(arguments);
    EXPECT_EQ(done.exit_code, 0) << method << ": " << done.err;
    return done.exit_code == 0 ? parse_json(done.out, "stdout") : Json::object();
  }

  // The quantized model answers, and is near the original but not equal to it.
  void expect_works(const std::string& what) const {
    SCOPED_TRACE(what);
    std::vector<std::string> question = {
        "run", folder_ / "out", placeholder_of(spec_) + "abcabcd", "--raw", "--max-tokens", "3", "--json"};
    if (spec_.vision) question.insert(question.end(), {"--image", folder_ / "picture.bmp"});
    if (spec_.audio) question.insert(question.end(), {"--audio", folder_ / "sound.wav"});
    const Outcome answer = run(question);
    ASSERT_EQ(answer.exit_code, 0) << answer.err;
    EXPECT_GE(parse_json(answer.out, "stdout")["ids"].size(), 1u);
    const Outcome score = run({"eval", folder_ / "out", "--base", model(), "--perplexity", text(), "--window",
                               "16", "--limit", "4", "--json"});
    if (spec_.decoder.reads_sounds()) {  // it has no likelihood of a text alone
      EXPECT_EQ(score.exit_code, 2);
      EXPECT_THAT(score.err, testing::HasSubstr("attends to a sound"));
      return;
    }
    ASSERT_EQ(score.exit_code, 0) << score.err;
    const double divergence = parse_json(score.out, "stdout")["kl_mean"];
    EXPECT_GT(divergence, 0.0);
    EXPECT_LT(divergence, 0.1);
  }

  TemporaryFolder folder_;
  nn::ModelSpec spec_;
};

TEST_P(EveryFamily, RoundedItAnswers) {
  quantize("rtn");
  expect_works("rtn");
}

TEST_P(EveryFamily, CalibratedItAnswers) {
  const Json facts = quantize("gptq");
  ASSERT_TRUE(facts.contains("layers"));
  for (const Json& layer : facts["layers"]) {  // an expert that no token reached is rounded
    const std::string name = layer["name"];
    if (name.find("experts") == std::string::npos) {
      EXPECT_EQ(layer["method"], "gptq") << name;
    }
  }
  EXPECT_EQ(facts["calibration"]["samples"], 6);
  expect_works("gptq");
}

TEST_P(EveryFamily, FoldedItAnswers) {
  quantize("awq");
  expect_works("awq");
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryFamily, testing::ValuesIn(all_families()),
                         [](const auto& info) { return info.param; });

// Every recipe of recipes/ runs on the family that its name begins with.
std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(source_path("recipes")))
    names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

// Pixtral is a LLaVA whose tower takes pictures of any size, as Mistral 3's does.
Json recipe_config(const std::string& family) {
  if (family != "pixtral") return small_config(family);
  Json config = small_config("llava");
  const Json mistral = small_config("mistral3");
  for (const char* part : {"vision_config", "text_config"}) config[part] = mistral[part];
  config["vision_feature_layer"] = -1;
  config["vision_feature_select_strategy"] = "full";
  return config;
}

class EveryRecipe : public testing::TestWithParam<std::string> {};

TEST_P(EveryRecipe, RunsOnItsFamily) {
  const std::string& name = GetParam();
  const TemporaryFolder folder;
  const nn::ModelSpec spec =
      write_small_model(folder / "model", recipe_config(name.substr(0, name.find('-'))));
  write_prompts(folder, spec);
  std::vector<std::string> arguments = {"quantize",
                                        folder / "model",
                                        "-o",
                                        folder / "out",
                                        "--recipe",
                                        source_path("recipes/" + name + ".yaml"),
                                        "--calibration",
                                        folder / "calibration.jsonl",
                                        "--samples",
                                        "6",
                                        "--json"};
  if (name.find("w4a16") != std::string::npos)
    arguments.insert(arguments.end(), {"--group-size", "-1"});  // the model has few columns
  const Outcome done = run(arguments);
  ASSERT_EQ(done.exit_code, 0) << done.err;
  const Json facts = parse_json(done.out, "stdout");
  EXPECT_FALSE(facts["layers"].empty());
  for (const Json& layer : facts["layers"]) {
    const std::string path = layer["name"];
    for (const char* kept : {"vision", "visual", "projector", "audio_tower", "encoder.layers"})
      EXPECT_EQ(path.find(kept), std::string::npos) << path;
  }
  EXPECT_EQ(run({"verify", folder / "out"}).exit_code, 0);
}

INSTANTIATE_TEST_SUITE_P(Recipes, EveryRecipe, testing::ValuesIn(recipe_names()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// The tower of sounds is quantized like everything else where nobody says to leave it alone.
class SoundFamily : public EveryFamily {};

TEST_P(SoundFamily, ItsTowerIsCalibratedToo) {
  const Json facts = quantize("gptq", {"--ignore", "re:.*(lm_head|proj_out)", "--bits", "4"});
  ASSERT_TRUE(facts.contains("layers"));
  std::size_t in_tower = 0;
  for (const Json& layer : facts["layers"]) {
    const std::string name = layer["name"];
    if (name.find("encoder.layers") == std::string::npos &&
        name.find("audio_tower.layers") == std::string::npos)
      continue;
    ++in_tower;
    EXPECT_EQ(layer["method"], "gptq") << name;
  }
  EXPECT_EQ(in_tower, 6 * spec_.audio->blocks.size());
  const Outcome answer = run({"run", folder_ / "out", placeholder_of(spec_) + "abc", "--raw", "--max-tokens",
                              "2", "--audio", folder_ / "sound.wav", "--ids"});
  EXPECT_EQ(answer.exit_code, 0) << answer.err;
}

INSTANTIATE_TEST_SUITE_P(Registry, SoundFamily, testing::Values("whisper", "qwen2_audio"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace farthing::program
