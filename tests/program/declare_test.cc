// Families that are not built in: what inspect says about them, and how a description makes them run.
#include <algorithm>

#include "tests/program/program.h"
#include <gmock/gmock.h>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/writer.h"

namespace farthing::program {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// The small Llama under a name that nobody knows, with one tensor more.
class UnknownFamily : public testing::Test {
 protected:
  UnknownFamily() {
    const fs::path llama = source_path("tests/data/families/llama");
    Json config = read_json(llama / "config.json");
    config["model_type"] = "mystery";
    write_text_atomically(folder_ / "config.json", config.dump());
    const auto weights = checkpoint::Checkpoint::open(llama);
    std::vector<std::pair<std::string, Tensor>> tensors = {
        {"model.layers.0.secret.weight", Tensor::of<float>({1}, {1})}};
    for (const checkpoint::TensorInfo& info : weights.tensors())
      tensors.emplace_back(info.name, weights.read(info.name));
    checkpoint::save_safetensors(folder_ / "model.safetensors", tensors);
    std::string description = read_text(source_path("docs/declare/llama.yaml"));
    description.replace(description.find("family: llama"), 13, "family: mystery");
    write_text_atomically(folder_ / "mystery.yaml", description);
  }

  TemporaryFolder folder_;
};

TEST_F(UnknownFamily, InspectNamesTheClosestOneAndWhatItCannotExplain) {
  const Outcome outcome = run({"inspect", folder_.path().string(), "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = parse_json(outcome.out, "stdout");
  EXPECT_EQ(json["known"], false);
  EXPECT_EQ(json["nearest_family"], "llama");
  EXPECT_THAT(json["unexplained"].get<std::vector<std::string>>(),
              testing::Contains("model.layers.0.secret.weight"));
  EXPECT_LE(json["unexplained"].size(), 3u) << json["unexplained"];  // and buffers of old files
  EXPECT_THAT(run({"inspect", folder_.path().string()}).out, HasSubstr("the closest known one is llama"));
  EXPECT_THAT(run({"forward", folder_.path().string(), "--ids", "x", "-o", "y"}).err, HasSubstr("--declare"));
}

TEST_F(UnknownFamily, ADescriptionMakesItRun) {
  const auto expected =
      checkpoint::Checkpoint::open(source_path("tests/data/families/llama/expected.safetensors"));
  checkpoint::save_safetensors(folder_ / "ids.safetensors", {{"input_ids", expected.read("input_ids")}});
  const Outcome outcome = run({"forward", folder_.path().string(), "--declare", folder_ / "mystery.yaml",
                               "--ids", folder_ / "ids.safetensors", "-o", folder_ / "out.safetensors"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Tensor logits = checkpoint::Checkpoint::open(folder_ / "out.safetensors").read("logits");
  const Tensor wanted = expected.read("logits");
  ASSERT_EQ(logits.numel(), wanted.numel());
  for (std::int64_t i = 0; i < wanted.numel(); ++i)
    ASSERT_NEAR(logits.data<float>()[i], wanted.data<float>()[i], 1e-3);
  EXPECT_EQ(
      run({"forward", folder_.path().string(), "--declare", folder_ / "none.yaml", "--ids", "x", "-o", "y"})
          .exit_code,
      3);
}

TEST_F(UnknownFamily, ADescribedOneIsQuantized) {
  const Outcome done = run({"quantize", folder_.path().string(), "-o", folder_ / "out", "--method", "rtn",
                            "--group-size", "8", "--declare", folder_ / "mystery.yaml", "--json"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(parse_json(done.out, "stdout")["deviations"].size(), 0u);
}

TEST(Families, TheDocumentIsMadeFromTheRegistry) {
  const std::string document = read_text(source_path("docs/families.md"));
  const Outcome outcome = run({"families"});
  EXPECT_TRUE(document.ends_with(outcome.out)) << "run scripts/write_tables.sh build/.../farthing";
}

}  // namespace
}  // namespace farthing::program
