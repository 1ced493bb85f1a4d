// What scripts rely on: what goes to stdout and what to stderr, exit codes, JSON keys, and errors that say
// what to type next.
#include <cstdlib>
#include <map>

#include "tests/program/program.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace farthing::program {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

const std::string kModel = source_path("models/tiny-llava-21m");

Json document(const std::vector<std::string>& arguments) {
  const Outcome outcome = run(arguments);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  Json json = parse_json(outcome.out, "stdout");
  EXPECT_EQ(json["schema"], 1);
  return json;
}

std::size_t lines_in(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(CommandLine, OverviewNamesEveryCommand) {
  EXPECT_THAT(run({}).out, HasSubstr("farthing quantize MODEL -o DIR"));
  const Outcome outcome = run({"--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, IsEmpty());
  for (const char* command : {"quantize", "run", "chat", "forward", "eval", "bench", "inspect", "estimate",
                              "verify", "tokenize", "template", "families", "doctor"}) {
    EXPECT_THAT(outcome.out, HasSubstr(std::string("\n  ") + command + " ")) << command;
    const Outcome help = run({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("examples:\n  farthing " + std::string(command))) << command;
    EXPECT_THAT(help.out, HasSubstr("--json")) << command;
  }
  EXPECT_EQ(run({"--version"}).out, "farthing 0.1.0\n");
}

// Every mistake: its exit code, and what the error must say.
TEST(CommandLine, MistakesSayWhatToTypeNext) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "broken.json", "[{\"role\": ");
  std::filesystem::create_directory(folder / "empty");
  struct Mistake {
    std::vector<std::string> arguments;
    int exit_code;
    std::string says;
  };
  const std::vector<Mistake> mistakes = {
      {{"tokenzie", "x"}, 2, "did you mean: farthing tokenize"},
      {{"--jsno"}, 2, "a command comes first"},
      {{"inspect"}, 2, "MODEL is missing"},
      {{"inspect", kModel, "--tensor"}, 2, "did you mean --tensors?"},
      {{"inspect", kModel, "more"}, 2, "too many arguments"},
      {{"inspect", folder / "nowhere"}, 3, "nowhere"},
      {{"inspect", folder / "empty"}, 3, "empty"},
      {{"inspect", kModel, "--color", "blue"}, 2, "auto, always, never"},
      {{"inspect", kModel, "--threads", "-1"}, 2, "threads"},
      {{"estimate"}, 2, "--parameters 6B --bits 16"},
      {{"estimate", kModel, "--scheme", "W4A61"}, 2, "W4A16"},
      {{"estimate", kModel, "--memory", "much"}, 2, "write it like 20GiB"},
      {{"tokenize", kModel, "--file", folder / "nothing.txt"}, 3, "nothing.txt"},
      {{"tokenize", kModel, "--decode", "12 x"}, 2, "not a token id"},
      {{"template", kModel}, 2, "--messages is missing"},
      {{"template", kModel, "--messages", folder / "broken.json"}, 3, "not valid JSON"},
      {{"quantize", kModel, "-o", folder / "out", "--scheme", "W4A17"}, 2, "hint:"},
      {{"run", kModel, "hello", "--image", folder / "no.jpg"}, 3, "no.jpg"},
  };
  for (const Mistake& mistake : mistakes) {
    const Outcome outcome = run(mistake.arguments);
    const std::string command = testing::PrintToString(mistake.arguments);
    EXPECT_EQ(outcome.exit_code, mistake.exit_code) << command << outcome.err;
    EXPECT_THAT(outcome.out, IsEmpty()) << command;
    EXPECT_THAT(outcome.err, StartsWith("error: ")) << command;
    EXPECT_THAT(outcome.err, HasSubstr(mistake.says)) << command;
    EXPECT_LE(lines_in(outcome.err), 3u) << outcome.err;
  }
}

TEST(CommandLine, ErrorsAreDocumentsToo) {
  const Outcome outcome = run({"inspect", "/no/such/model", "--json"});
  EXPECT_EQ(outcome.exit_code, 3);
  const Json error = parse_json(outcome.out, "stdout").at("error");
  EXPECT_EQ(error["code"], "not_found");
  EXPECT_FALSE(error["message"].get<std::string>().empty());
  EXPECT_FALSE(error["hint"].get<std::string>().empty());
  EXPECT_TRUE(error["fields"].is_object());
}

TEST(CommandLine, AFullDiskUnderStdoutIsAnError) {
  const TemporaryFolder folder;
  const std::string command = std::string("\"") + FARTHING_PROGRAM + "\" inspect \"" + kModel +
                              "\" > /dev/full 2> " + (folder / "err");
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 4);
  EXPECT_THAT(read_text(folder / "err"), HasSubstr("cannot write the answer"));
}

TEST(CommandLine, NoEscapeSequencesReachAPipe) {
  const Outcome outcome = run({"quantize", kModel, "-o", "/dev/null/x", "--dry-run"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("\r")));
  EXPECT_THAT(run({"inspect", "/no/such", "--color", "always"}).err, HasSubstr("\x1b[1;31merror:\x1b[0m"));
}

TEST(Tokenize, IdsTextAndBack) {
  EXPECT_EQ(run({"tokenize", kModel, "What animal is this?"}).out, "1 543 366 305 372 38\n");
  EXPECT_EQ(run({"tokenize", kModel, "What animal is this?", "--no-special"}).out, "543 366 305 372 38\n");
  EXPECT_EQ(run({"tokenize", kModel, "--decode", "[543, 366, 305, 372, 38]"}).out, "What animal is this?\n");
  EXPECT_THAT(document({"tokenize", kModel, "What animal is this?", "--json"})["ids"],
              ElementsAre(1, 543, 366, 305, 372, 38));
  EXPECT_THAT(document({"tokenize", kModel, "", "--json"})["ids"], ElementsAre(1));
}

TEST(Tokenize, FilesAreReadToTheByteAndByLines) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "text", "a cat\n\na dog\r\nend");
  const Json lines =
      document({"tokenize", kModel, "--file", folder / "text", "--lines", "--no-special", "--json"})["ids"];
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_THAT(lines[1], IsEmpty());
  EXPECT_EQ(lines[0], document({"tokenize", kModel, "a cat", "--no-special", "--json"})["ids"]);
  EXPECT_EQ(lines[2], document({"tokenize", kModel, "a dog\r", "--no-special", "--json"})["ids"]);
  const Json whole = document({"tokenize", kModel, "--file", folder / "text", "--json"})["ids"];
  EXPECT_EQ(whole, document({"tokenize", kModel, "a cat\n\na dog\r\nend", "--json"})["ids"]);
}

TEST(Template, RendersWhatTheModelSees) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "chat.json", R"([{"role": "user", "content": "Hi"}])");
  const Outcome outcome =
      run({"template", kModel, "--messages", folder / "chat.json", "--add-generation-prompt"});
  EXPECT_EQ(outcome.out, "<|user|>\nHi<|end|>\n<|assistant|>\n") << outcome.err;
  write_text_atomically(folder / "x.jinja",
                        "{{ bos_token }}{{ strftime_now('%Y-%m-%d') }}{{ mood }}{{ 1 if shout else 0 }}");
  const Json json =
      document({"template", folder / "x.jinja", "--messages", folder / "chat.json", "--set", "bos_token=<s>",
                "--set", "mood= calm ", "--set", "shout=true", "--now", "2026-01-15", "--json"});
  EXPECT_EQ(json["text"], "<s>2026-01-15 calm 1");
  EXPECT_EQ(run({"template", folder / "x.jinja", "--messages", folder / "chat.json", "--now", "yesterday"})
                .exit_code,
            2);
}

TEST(Inspect, ReadsTheHeaders) {
  const Json json = document({"inspect", kModel, "--json", "--template"});
  EXPECT_EQ(json["family"], "llava");
  EXPECT_EQ(json["architecture"], "LlavaForConditionalGeneration");
  EXPECT_EQ(json["parameters"], 21577088);
  EXPECT_EQ(json["bytes"], 43154176);
  EXPECT_EQ(json["dtype"], "BF16");
  EXPECT_EQ(json["context"], 1024);
  EXPECT_EQ(json["quantization"]["method"], "none");
  EXPECT_THAT(json["unexplained"], IsEmpty());
  EXPECT_THAT(json["problems"], IsEmpty());
  EXPECT_THAT(json["template"].get<std::string>(), HasSubstr("assistant"));
  ASSERT_FALSE(json["tensors"].empty());
  for (const char* key : {"name", "dtype", "shape", "file"})
    EXPECT_TRUE(json["tensors"][0].contains(key)) << key;
}

TEST(Inspect, AnUnknownFamilyStillShowsWhatItHas) {
  const TemporaryFolder folder;
  std::filesystem::copy(source_path("models/tiny-llava-21m"), folder.path() / "m");
  Json config = read_json(folder.path() / "m" / "config.json");
  config["model_type"] = "lava";
  write_text_atomically(folder.path() / "m" / "config.json", config.dump());
  const Json json = document({"inspect", folder / "m", "--json"});
  EXPECT_EQ(json["known"], false);
  EXPECT_EQ(json["nearest_family"], "llava");
  EXPECT_EQ(json["parameters"], 21577088);
  EXPECT_THAT(run({"inspect", folder / "m"}).out, HasSubstr("the closest known one is llava"));
}

TEST(Estimate, KnowsSizesWithoutAModel) {
  const Json json =
      document({"estimate", "--parameters", "6B", "--bits", "16", "--memory", "10GB", "--json"});
  EXPECT_EQ(json["weights_bytes"], 12000000000);
  EXPECT_EQ(json["fits"], false);
  EXPECT_EQ(document({"estimate", "--parameters", "6B", "--bits", "4", "--memory", "10GB", "--json"})["fits"],
            true);
}

TEST(Estimate, PredictsWhatQuantizeWrites) {
  const Json json = document({"estimate", kModel, "--json"});
  for (const char* key : {"weights_bytes", "kv_cache_bytes", "activations_bytes", "run_peak_bytes",
                          "quantize_peak_bytes", "quantize_seconds", "output_bytes"}) {
    EXPECT_TRUE(json[key].is_number()) << key;
  }
  EXPECT_EQ(json["weights_bytes"], 43154176);
  EXPECT_EQ(json["kv_cache_bytes"],
            8 * 2 * 128 * 4 * 1024);  // layers, keys and values, floats of a row, tokens
  const Json plan = document({"quantize", kModel, "--dry-run", "--json"});
  EXPECT_EQ(json["output_bytes"], plan["bytes_out"]);
  const Json quantized = document({"estimate", kModel, "--scheme", "W4A16", "--json"});
  EXPECT_EQ(quantized["weights_bytes"], json["output_bytes"]);
  EXPECT_LT(quantized["run_peak_bytes"], json["run_peak_bytes"]);
}

TEST(Doctor, DescribesTheMachine) {
  const Json json = document({"doctor", "--json"});
  EXPECT_EQ(json["version"], "0.1.0");
  EXPECT_GT(json["memory_bytes"].get<std::int64_t>(), 0);
  EXPECT_GT(json["bandwidth_gbps"].get<double>(), 0);
  for (const char* key : {"cpu", "isa", "devices", "problems"}) EXPECT_TRUE(json.contains(key)) << key;
}

}  // namespace
}  // namespace farthing::program
