// tokenize and template: every pinned flag.
#include "tests/program/program.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace farthing::program {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kModel = source_path("models/tiny-llava-21m");

TEST(Tokenize, ReadsStandardInputWithoutTextOrFile) {
  EXPECT_EQ(run_with_input({"tokenize", kModel}, "What animal is this?").out, "1 543 366 305 372 38\n");
  EXPECT_EQ(run_with_input({"tokenize", kModel, "--decode"}, "543, 366\n305 372 38\n").out,
            "What animal is this?\n");
  EXPECT_EQ(run_with_input({"tokenize", kModel, "--no-special"}, "").out, "\n");
}

TEST(Tokenize, DecodeLeavesSpecialTokensOutWhenAsked) {
  const std::string all = run({"tokenize", kModel, "--decode", "1 543 366"}).out;
  EXPECT_EQ(run({"tokenize", kModel, "--decode", "1 543 366", "--no-special"}).out, "What animal\n");
  EXPECT_THAT(all, testing::AllOf(HasSubstr("What animal\n"), Not("What animal\n")));
  const Outcome json = run({"tokenize", kModel, "--decode", "[543, 366]", "--json"});
  EXPECT_EQ(parse_json(json.out, "stdout").at("text"), "What animal");
}

TEST(Tokenize, LinesAreRowsOfIds) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "text", "What animal is this?\n\nWhat\n");
  EXPECT_EQ(run({"tokenize", kModel, "--file", folder / "text", "--lines"}).out,
            "1 543 366 305 372 38\n1\n1 543\n")
      << "the newline at the end begins no line";
}

TEST(Tokenize, AFolderWithATokenizerAloneIsEnough) {
  const TemporaryFolder folder;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(fs::path(kModel) / name, folder / name);
  EXPECT_EQ(run({"tokenize", folder.path(), "What animal is this?"}).out, "1 543 366 305 372 38\n");
}

TEST(Tokenize, TextAndFileTogetherAreAMistake) {
  const Outcome outcome = run({"tokenize", kModel, "text", "--file", "/dev/null"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("give one of them"));
  EXPECT_EQ(run({"tokenize", kModel, "--decode", "-5"}).exit_code, 2);
  EXPECT_EQ(run({"tokenize", kModel, "--decode", "99999999999"}).exit_code, 2);
}

class TemplateTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    write_text_atomically(folder_ / name, text);
    return folder_ / name;
  }

  const TemporaryFolder folder_;
  const std::string chat_ = write("chat.json", R"([{"role": "user", "content": "Hi"}])");
};

TEST_F(TemplateTest, TheGenerationPromptComesOnlyWhenAskedFor) {
  const std::string without = run({"template", kModel, "--messages", chat_}).out;
  EXPECT_EQ(without + "<|assistant|>\n",
            run({"template", kModel, "--messages", chat_, "--add-generation-prompt"}).out);
}

TEST_F(TemplateTest, ToolsComeFromTheirFileOrBesideTheMessages) {
  const std::string jinja =
      write("x.jinja", "{{ messages[0].content }}{% for t in tools %}:{{ t.name }}{% endfor %}");
  const std::string tools = write("tools.json", R"([{"name": "add"}, {"name": "sub"}])");
  EXPECT_EQ(run({"template", jinja, "--messages", chat_, "--tools", tools}).out, "Hi:add:sub");
  const std::string both =
      write("both.json", R"({"messages": [{"role": "user", "content": "Ho"}], "tools": [{"name": "mul"}]})");
  EXPECT_EQ(run({"template", jinja, "--messages", both}).out, "Ho:mul");
  EXPECT_EQ(run({"template", jinja, "--messages", both, "--tools", tools}).out, "Ho:add:sub");
}

TEST_F(TemplateTest, AModelWithoutATemplateSaysThatThisIsTheDefault) {
  fs::create_directory(folder_ / "m");
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(fs::path(kModel) / name, fs::path(folder_ / "m") / name);
  const Outcome outcome = run({"template", folder_ / "m", "--messages", chat_});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("Hi"));
  EXPECT_THAT(outcome.err, HasSubstr("no chat template"));
}

TEST_F(TemplateTest, NowIsADayOrAMoment) {
  const std::string jinja = write("x.jinja", "{{ strftime_now('%d %b %Y %H:%M:%S') }}");
  const auto at = [&](const std::string& now) {
    return run({"template", jinja, "--messages", chat_, "--now", now});
  };
  EXPECT_EQ(at("2026-01-15").out, "15 Jan 2026 00:00:00");
  EXPECT_EQ(at("2026-01-15T10:30:05").out, "15 Jan 2026 10:30:05");
  EXPECT_EQ(at("2024-02-29 23:59").out, "29 Feb 2024 23:59:00");
  for (const char* wrong : {"2026-02-29", "2026-13-01", "2026-01", "15.1.2026", "2026-01-15T25:00", ""})
    EXPECT_EQ(at(wrong).exit_code, 2) << wrong;
}

TEST_F(TemplateTest, MistakesNameTheirFile) {
  const std::string jinja = write("broken.jinja", "{% if x %}");
  const std::string list = write("object.json", R"({"role": "user"})");
  const std::string asks = write("asks.jinja", "{{ raise_exception('roles must alternate') }}");
  struct Mistake {
    std::vector<std::string> arguments;
    int exit_code;
    std::string says;
  };
  const std::vector<Mistake> mistakes = {
      {{jinja, "--messages", chat_}, 3, "broken.jinja"},
      {{asks, "--messages", chat_}, 2, "roles must alternate"},
      {{kModel, "--messages", list}, 2, "object.json"},
      {{kModel, "--messages", folder_ / "gone.json"}, 3, "gone.json"},
      {{kModel, "--messages", chat_, "--tools", folder_ / "gone.json"}, 3, "gone.json"},
      {{kModel, "--messages", chat_, "--set", "noequals"}, 2, "--set"},
      {{kModel, "--messages", chat_, "--set", "=x"}, 2, "--set"},
  };
  for (const Mistake& mistake : mistakes) {
    std::vector<std::string> arguments = {"template"};
    arguments.insert(arguments.end(), mistake.arguments.begin(), mistake.arguments.end());
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, mistake.exit_code) << testing::PrintToString(arguments) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(mistake.says));
    EXPECT_THAT(outcome.out, IsEmpty());
  }
}

}  // namespace
}  // namespace farthing::program
