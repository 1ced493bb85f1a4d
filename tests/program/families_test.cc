// Every vision-language family with reference outputs: quantized with and without calibration on pictures,
// asked about a picture, and scored against the original.
#include <algorithm>
#include <cstdlib>

#include "tests/program/program.h"
#include <gtest/gtest.h>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/writer.h"

namespace farthing::program {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFamilies[] = {"gemma3",  "idefics3", "llava",      "llava_next", "mllama",
                                     "pixtral", "qwen2_vl", "qwen2_5_vl", "smolvlm"};

class VisionFamily : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const char* fixtures = std::getenv("FARTHING_FIXTURES");
    if (fixtures == nullptr) GTEST_SKIP() << "set FARTHING_FIXTURES";
    model_ = fs::path(fixtures) / "fixtures" / "families" / GetParam();
    prompt_ = read_json(model_ / "case.json").at("prompts").at("two");
  }

  Json quantize(const std::string& output, const std::string& method) const {
    const Outcome done = run({"quantize", model_.string(), "-o", output, "--method", method, "--group-size",
                              "8", "--samples", "4", "--json"});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    return done.exit_code == 0 ? parse_json(done.out, "stdout") : Json::object();
  }

  // The quantized model answers, and is near the original but not equal to it.
  void expect_works(const std::string& output) const {
    const Outcome answer =
        run({"run", output, prompt_, "--raw", "--max-tokens", "4", "--json", "--image",
             (model_ / "image0.png").string(), "--image", (model_ / "image1.png").string()});
    ASSERT_EQ(answer.exit_code, 0) << answer.err;
    EXPECT_EQ(parse_json(answer.out, "stdout")["ids"].size(), 4u);
    const Outcome score =
        run({"eval", output, "--base", model_.string(), "--perplexity",
             source_path("data/text/wikitext2-test-part.txt"), "--window", "48", "--limit", "2", "--json"});
    ASSERT_EQ(score.exit_code, 0) << score.err;
    const double divergence = parse_json(score.out, "stdout")["kl_mean"];
    EXPECT_GT(divergence, 0.0);
    EXPECT_LT(divergence, 1.0);
  }

  fs::path model_;
  std::string prompt_;
};

TEST_P(VisionFamily, RoundedItAnswers) {
  const TemporaryFolder folder;
  quantize(folder / "out", "rtn");
  expect_works(folder / "out");
}

TEST_P(VisionFamily, CalibratedOnPicturesItAnswers) {
  const TemporaryFolder folder;
  const Json facts = quantize(folder / "out", "gptq");
  ASSERT_TRUE(facts.contains("calibration"));
  EXPECT_EQ(facts["calibration"]["samples"], 4);
  EXPECT_EQ(facts["calibration"]["pictures"], 4);
  EXPECT_TRUE(facts["deviations"].empty()) << facts["deviations"];
  expect_works(folder / "out");
}

Tensor integers(const Shape& shape, const std::vector<std::int64_t>& values) {
  Tensor tensor = Tensor::empty(DType::kI64, shape);
  std::copy(values.begin(), values.end(), tensor.mutable_data<std::int64_t>());
  return tensor;
}

// Logits [B, T, V] of ids under a mask.
Tensor forward(const TemporaryFolder& folder, const Shape& shape, const std::vector<std::int64_t>& ids,
               const std::vector<std::int64_t>& mask) {
  checkpoint::save_safetensors(folder / "ids.safetensors", {{"input_ids", integers(shape, ids)},
                                                            {"attention_mask", integers(shape, mask)}});
  const Outcome done = run({"forward", source_path("tests/data/families/llama"), "--ids",
                            folder / "ids.safetensors", "-o", folder / "logits.safetensors"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  return checkpoint::load_safetensors(folder / "logits.safetensors").read("logits").clone();
}

TEST(Forward, PaddingIsLeftOutWhereverItStands) {
  const TemporaryFolder folder;
  const Tensor alone = forward(folder, {1, 3}, {7, 8, 9}, {1, 1, 1});
  const Tensor padded = forward(folder, {3, 5}, {5, 6, 7, 8, 9, 0, 0, 7, 8, 9, 7, 8, 9, 0, 0},
                                {1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0});
  const std::int64_t width = alone.dim(2);
  for (std::int64_t i = 0; i < 3 * width; ++i) {
    EXPECT_NEAR(padded.data<float>()[(5 + 2) * width + i], alone.data<float>()[i], 1e-5);
    EXPECT_NEAR(padded.data<float>()[2 * 5 * width + i], alone.data<float>()[i], 1e-5);
  }
  EXPECT_EQ(padded.data<float>()[5 * width], 0.0f);
}

INSTANTIATE_TEST_SUITE_P(Families, VisionFamily, testing::ValuesIn(kFamilies),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace farthing::program
