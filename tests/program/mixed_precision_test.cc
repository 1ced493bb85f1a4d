// farthing quantize --target-bits, --target-size, --max-kl: the target holds, the result is better than one
// scheme of that size, and everything that holds for one scheme holds for several.
#include <csignal>
#include <thread>

#include "tests/program/program.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace farthing::program {
namespace {

namespace fs = std::filesystem;

const std::string kModel = source_path("models/tiny-llava-21m");

std::vector<std::string> quantize(const std::string& output, std::vector<std::string> more) {
  std::vector<std::string> arguments = {"quantize", kModel,      "-o", output,       "--json",
                                        "--quiet",  "--samples", "4",  "--overwrite"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Json facts_of(const std::vector<std::string>& arguments) {
  const Outcome done = run(arguments);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  return parse_json(done.out, "stdout");
}

double divergence(const std::string& model) {
  const std::string text = source_path("README.md");
  return facts_of({"eval", model, "--base", kModel, "--perplexity", text, "--window", "256", "--limit", "2",
                   "--json", "--quiet"})
      .at("kl_mean");
}

std::string weights_of(const std::string& folder) {
  return read_text(fs::path(folder) / "model.safetensors");
}

TEST(MixedPrecision, MeetsItsBitsAndIsBetweenPureSchemes) {
  const TemporaryFolder folder;
  const Json facts = facts_of(quantize(folder / "mixed", {"--target-bits", "5", "--method", "rtn"}));
  EXPECT_EQ(facts["scheme"], "mixed");
  const Json& mixture = facts["mixture"];
  EXPECT_LE(mixture["bits_per_weight"].get<double>(), 5.0);
  EXPECT_GT(mixture["bits_per_weight"].get<double>(), 4.9);
  EXPECT_NEAR(mixture["kl_predicted"].get<double>() / mixture["kl"].get<double>(), 1, 0.3);
  EXPECT_EQ(mixture["units"].size(), 32u);
  for (const char* consumer : {"vllm", "transformers"})
    EXPECT_EQ(run({"verify", folder / "mixed", "--for", consumer}).exit_code, 0) << consumer;
  facts_of(quantize(folder / "w4", {"--scheme", "W4A16", "--method", "rtn"}));
  facts_of(quantize(folder / "w8", {"--scheme", "W8A16", "--method", "rtn"}));
  const double mixed = divergence(folder / "mixed");
  EXPECT_LT(mixed, divergence(folder / "w4"));
  EXPECT_GT(mixed, divergence(folder / "w8"));
  EXPECT_THAT(read_text(folder.path() / "mixed" / "README.md"), testing::HasSubstr("## Mixture"));
  const Json config = read_json(folder.path() / "mixed" / "config.json")["quantization_config"];
  for (const Json& group : config["config_groups"])
    for (const Json& target : group["targets"]) EXPECT_NE(target, "Linear");
}

TEST(MixedPrecision, ItsRecipeAndAnyThreadsGiveTheSameBytes) {
  const TemporaryFolder folder;
  facts_of(quantize(folder / "first", {"--target-bits", "6", "--threads", "1"}));
  facts_of(quantize(folder / "threads", {"--target-bits", "6", "--threads", "3"}));
  facts_of(quantize(folder / "again", {"--recipe", folder / "first/recipe.yaml"}));
  EXPECT_TRUE(weights_of(folder / "first") == weights_of(folder / "threads"));
  EXPECT_TRUE(weights_of(folder / "first") == weights_of(folder / "again"));
  EXPECT_EQ(read_text(folder.path() / "first" / "config.json"),
            read_text(folder.path() / "again" / "config.json"));
}

TEST(MixedPrecision, KeepsASize) {
  const TemporaryFolder folder;
  for (const std::string format : {"compressed-tensors", "gptq"}) {
    const std::uintmax_t limit = 25'600'000;
    facts_of(quantize(folder / format,
                      {"--target-size", std::to_string(limit), "--method", "rtn", "--format", format}));
    const std::uintmax_t size = fs::file_size(fs::path(folder / format) / "model.safetensors");
    EXPECT_LE(size, limit) << format;
    EXPECT_GT(size, limit - 200'000) << format;
  }
  EXPECT_EQ(run({"verify", folder / "gptq", "--for", "gptqmodel"}).exit_code, 0);
  EXPECT_EQ(run({"verify", folder / "gptq", "--for", "vllm"}).exit_code, 0);
}

TEST(MixedPrecision, KeepsADivergenceWithOtherSchemesToo) {
  const TemporaryFolder folder;
  const Json facts = facts_of(quantize(folder / "w4", {"--max-kl", "0.02", "--method", "rtn"}));
  EXPECT_LE(facts["mixture"]["kl"].get<double>(), 0.02);
  EXPECT_GT(facts["mixture"]["kl"].get<double>(), 0.01);
  for (const std::string scheme : {"W8A8", "NVFP4A16", "FP8_DYNAMIC"}) {
    const Json mixed =
        facts_of(quantize(folder / scheme, {"--target-bits", "12", "--method", "rtn", "--scheme", scheme}));
    EXPECT_LE(mixed["mixture"]["bits_per_weight"].get<double>(), 12.0) << scheme;
    EXPECT_GT(mixed["mixture"]["bits_per_weight"].get<double>(), 11.5) << scheme;
    EXPECT_EQ(run({"verify", folder / scheme}).exit_code, 0) << scheme;
  }
}

TEST(MixedPrecision, IsMeasuredByTheMethodOfTheRun) {
  const TemporaryFolder folder;
  const Json mixture = facts_of(
      quantize(folder / "out", {"--max-kl", "0.006", "--samples", "16", "--method", "gptq"}))["mixture"];
  EXPECT_LE(mixture["kl_together"].get<double>(), 0.006);
  EXPECT_NEAR(mixture["kl"].get<double>() / mixture["kl_predicted"].get<double>(), 1, 0.2);
  EXPECT_LT(mixture["bits_per_weight"].get<double>(), 6.5) << "rounding would need more";
}

TEST(MixedPrecision, SaysWhatCanBeReached) {
  const auto refusal = [](std::vector<std::string> more) {
    more.insert(more.end(), {"--dry-run", "--method", "rtn"});
    const Outcome refused = run(quantize("unused", more));
    EXPECT_EQ(refused.exit_code, 2) << refused.out;
    return refused.err;
  };
  using testing::HasSubstr;
  EXPECT_THAT(refusal({"--target-bits", "3"}), HasSubstr("smallest=4.126 bits largest=16.000 bits"));
  EXPECT_THAT(refusal({"--target-bits", "40"}), HasSubstr("largest=16.000 bits"));
  EXPECT_THAT(refusal({"--target-size", "1MiB"}), HasSubstr("smallest=23.4 MiB"));
  EXPECT_THAT(refusal({"--max-kl", "1e-12"}), HasSubstr("no mixture meets the target"));
  EXPECT_THAT(refusal({"--max-kl", "-1"}), HasSubstr("above 0"));
  EXPECT_THAT(refusal({"--target-bits", "5", "--max-kl", "1"}), HasSubstr("one target"));
  EXPECT_THAT(refusal({"--target-bits", "5", "--scheme", "Q4_K_M"}), HasSubstr("llama.cpp"));
}

TEST(MixedPrecision, GoesOnAfterKill) {
  const TemporaryFolder folder;
  const std::vector<std::string> flags = {"--target-bits", "5", "--threads", "1"};
  facts_of(quantize(folder / "whole", flags));
  const std::string output = folder / "killed";
  const pid_t process = start(quantize(output, flags));
  const fs::path journal = output + ".partial/journal.json";
  for (int i = 0; i < 6000 && !fs::exists(journal); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ::kill(process, SIGKILL);
  wait_for(process);
  const Json resumed = facts_of(quantize(output, flags));
  EXPECT_GE(resumed["resumed_blocks"], 1);
  EXPECT_TRUE(weights_of(output) == weights_of(folder / "whole"));
}

}  // namespace
}  // namespace farthing::program
