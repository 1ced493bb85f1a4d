// Every vision-language family with reference outputs: quantized with and without calibration on pictures,
// asked about a picture, and scored against the original.
#include <cstdlib>

#include "tests/program/program.h"
#include <gtest/gtest.h>

#include "base/json.h"

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

INSTANTIATE_TEST_SUITE_P(Families, VisionFamily, testing::ValuesIn(kFamilies),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace farthing::program
