#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "report/html_report.h"
#include "report/model_card.h"
#include "report/quantize_report.h"
#include "report/table.h"

namespace farthing::report {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

plan::QuantizeResult example() {
  plan::QuantizeResult result{.model = "tiny<b>",
                              .scheme = "W4A16",
                              .method = "gptq",
                              .format = "compressed-tensors",
                              .bits_per_weight = 4.13,
                              .bytes_in = 43154176,
                              .bytes_out = 24477312,
                              .seconds = 12.5,
                              .peak_host_bytes = 64 << 20};
  for (int block = 0; block < 12; ++block) {
    for (const char* part : {"self_attn.q_proj", "mlp.down_proj"}) {
      result.layers.push_back({.name = fmt::format("model.layers.{}.{}", block, part),
                               .method = "gptq",
                               .scheme = "W4A16",
                               .mse = 1e-6,
                               .relative_error = 0.001 * (block + 1),
                               .sqnr_db = 40,
                               .seconds = 0.5});
    }
  }
  result.calibration_samples = 8;
  result.calibration_tokens = 900;
  result.calibration = {{"source", "builtin"},
                        {"rejected", {{{"origin", "a.jsonl:3"}, {"reason", "empty"}}}}};
  result.ignored = {"lm_head"};
  result.deviations = {{"model.layers.2.mlp.down_proj", "damping raised to 0.03 & more"}};
  result.output = "out";
  result.sha256 = "abc123";
  result.recipe = "default_stage: {}\n";
  return result;
}

TEST(QuantizeReport, HasThePinnedKeys) {
  const Json json = to_json(example());
  for (const char* key : {"model", "scheme", "method", "format", "bits_per_weight", "bytes_in", "bytes_out",
                          "seconds", "peak_host_bytes", "peak_device_bytes", "calibration", "layers",
                          "ignored", "deviations", "output", "sha256"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["calibration"]["samples"], 8);
  EXPECT_EQ(json["calibration"]["tokens"], 900);
  for (const char* key : {"name", "method", "mse", "relative_error", "seconds"}) {
    EXPECT_TRUE(json["layers"][0].contains(key)) << key;
  }
}

TEST(HtmlReport, ShowsEverythingAndNeedsNothing) {
  const std::string html = html_report(example());
  EXPECT_THAT(html, StartsWith("<!doctype html>"));
  for (const char* text :
       {"tiny&lt;b&gt;", "4.13", "23.3 MiB of 41.2 MiB", "model.layers.11.mlp.down_proj", "a.jsonl:3",
        "damping raised to 0.03 &amp; more", "lm_head", "default_stage", "abc123", "<svg"}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
  for (const char* text : {"<b>\xe2", "http://", "https://", "<script", "<link", "@import"}) {
    EXPECT_THAT(html, Not(HasSubstr(text)));
  }
}

TEST(HtmlReport, ListsTheWorstLayerFirst) {
  const std::string html = html_report(example());
  EXPECT_LT(html.find("model.layers.11.self_attn.q_proj"), html.find("model.layers.0.self_attn.q_proj"));
}

TEST(HtmlReport, AnEmptyResultIsAPageToo) {
  EXPECT_THAT(html_report({}), HasSubstr("None: the method needs no data."));
}

TEST(ModelCard, HasFrontMatterAndHowToMakeItAgain) {
  const std::string card = model_card(
      example(),
      {.base_model = "org/tiny", .license = "apache-2.0", .command = "farthing quantize org/tiny -o out"});
  EXPECT_THAT(card, StartsWith("---\nbase_model: \"org/tiny\"\n"));
  EXPECT_THAT(card, HasSubstr("license: \"apache-2.0\"\n"));
  EXPECT_THAT(card, HasSubstr("| `model.layers.11.self_attn.q_proj` |"));
  EXPECT_THAT(card, HasSubstr("farthing quantize org/tiny -o out"));
  EXPECT_THAT(model_card(example(), {}), Not(HasSubstr("license")));
}

TEST(ModelCard, FindsTheLicenseOfTheBaseModel) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("farthing-card-{}", ::getpid());
  std::filesystem::create_directory(folder);
  EXPECT_EQ(license_of(folder), "");
  write_text_atomically(folder / "README.md", "---\ntags: []\nlicense: \"llama3\" \n---\nlicense: other\n");
  EXPECT_EQ(license_of(folder), "llama3");
  write_text_atomically(folder / "README.md", "# Title\nlicense: mit\n");
  EXPECT_EQ(license_of(folder), "");
  std::filesystem::remove_all(folder);
}

TEST(TableTest, PadsItsColumns) {
  Table table({"a", "long header"});
  table.add({"wide cell", "1"});
  EXPECT_EQ(table.markdown(),
            "| a         | long header |\n|-----------|-------------|\n| wide cell | 1           |\n");
}

}  // namespace
}  // namespace farthing::report
