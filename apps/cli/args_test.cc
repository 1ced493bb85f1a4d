#include "cli/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace farthing::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class CommandTest : public testing::Test {
 protected:
  CommandTest() : command_("quantize", "make it small") {
    command_.example("farthing quantize MODEL -o DIR")
        .positional("MODEL", model_, "what to read")
        .positional("TEXT", text_, "optional", Command::Presence::kOptional)
        .required_option("-o,--output", "DIR", output_, "where the result goes")
        .group("numbers")
        .option("--samples", "N", samples_, "how many")
        .option("--temperature", "T", temperature_, "how wild")
        .option("--ignore", "NAME", ignore_, "leave alone; repeatable")
        .option("--memory", "SIZE", read_bytes(memory_), "a budget")
        .option("--format", "NAME", read_choice(format_, {"gguf", "awq"}), "on disk")
        .option("--prefill", "LIST", read_counts(prefill_), "lengths")
        .toggle("--resume", "--no-resume", resume_, "go on where it stopped")
        .flag("--strict", strict_, "deviations are errors")
        .flag(
            "-v", [this](std::int64_t count) { verbosity_ = count; }, "more");
  }

  void parse(std::vector<std::string> arguments) { command_.parse(arguments); }

  // The error of a wrong command line, with its hint.
  std::string error_of(std::vector<std::string> arguments) {
    try {
      command_.parse(arguments);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kInvalidArgument);
      return error.what() + std::string(" | ") + error.hint();
    }
    return "no error";
  }

  Command command_;
  std::string model_, output_, format_;
  std::optional<std::string> text_;
  std::int64_t samples_ = 0, verbosity_ = 0;
  double temperature_ = 0;
  std::vector<std::string> ignore_;
  std::uint64_t memory_ = 0;
  std::vector<std::int64_t> prefill_;
  bool resume_ = true, strict_ = false;
};

TEST_F(CommandTest, ReadsValuesInAnyOrder) {
  parse({"--samples", "32K", "m", "-o", "d", "--ignore", "lm_head", "--ignore=re:.*vision.*", "--memory=2GiB",
         "--no-resume", "--strict", "-vv", "--prefill", "32,1K", "--format", "awq", "--temperature", "0.7"});
  EXPECT_EQ(model_, "m");
  EXPECT_EQ(text_, std::nullopt);
  EXPECT_EQ(output_, "d");
  EXPECT_EQ(samples_, 32768);
  EXPECT_EQ(temperature_, 0.7);
  EXPECT_THAT(ignore_, ElementsAre("lm_head", "re:.*vision.*"));
  EXPECT_EQ(memory_, 2ull << 30);
  EXPECT_THAT(prefill_, ElementsAre(32, 1024));
  EXPECT_EQ(format_, "awq");
  EXPECT_FALSE(resume_);
  EXPECT_TRUE(strict_);
  EXPECT_EQ(verbosity_, 2);
}

TEST(Command, TakesAllTheRest) {
  std::vector<std::string> models;
  std::int64_t repeat = 0;
  Command command("bench", "how fast");
  command.positional("MODEL", models, "what to measure", Command::Presence::kRest)
      .option("--repeat", "N", repeat, "times");
  command.parse(std::vector<std::string>{"a", "--repeat", "2", "b", "c"});
  EXPECT_THAT(models, ElementsAre("a", "b", "c"));
  EXPECT_EQ(repeat, 2);
}

TEST_F(CommandTest, TakesTextsThatLookLikeFlags) {
  parse({"-o", "d", "m", "--", "-not a flag"});
  EXPECT_EQ(text_, "-not a flag");
  parse({"m", "[1, 2]", "-o", "--weird"});
  EXPECT_EQ(text_, "[1, 2]");
  EXPECT_EQ(output_, "--weird");
  parse({"m", "", "-o", "d", "--samples", "-1"});
  EXPECT_EQ(text_, "");
  EXPECT_EQ(samples_, -1);
}

TEST_F(CommandTest, TheLastUseCounts) {
  parse({"m", "-o", "a", "-o", "b"});
  EXPECT_EQ(output_, "b");
}

TEST_F(CommandTest, SaysWhatIsWrongAndWhatToType) {
  EXPECT_THAT(error_of({"m", "-o", "d", "--sampels", "3"}),
              HasSubstr("unknown flag: flag=--sampels | did you mean --samples?"));
  EXPECT_THAT(error_of({"m", "-o", "d", "--sampels=3"}), HasSubstr("did you mean --samples?"));
  EXPECT_THAT(error_of({"-o", "d"}),
              HasSubstr("MODEL is missing | usage: farthing quantize MODEL [TEXT] -o DIR"));
  EXPECT_THAT(error_of({"m"}), HasSubstr("-o,--output is missing"));
  EXPECT_THAT(error_of({"m", "t", "x", "-o", "d"}), HasSubstr("too many arguments: argument=x"));
  EXPECT_THAT(error_of({"m", "-o"}), HasSubstr("usage: farthing quantize"));
  EXPECT_THAT(error_of({"m", "-o", "d", "--samples", "many"}), HasSubstr("flag=--samples given=many"));
  EXPECT_THAT(error_of({"m", "-o", "d", "--memory", "2 apples"}), HasSubstr("unit=apples"));
  EXPECT_THAT(error_of({"m", "-o", "d", "--format", "ggfu"}),
              HasSubstr("did you mean gguf? use one of: gguf, awq"));
  EXPECT_THAT(error_of({"m", "-o", "d", "--temperature", "nan"}), HasSubstr("not a number"));
}

TEST_F(CommandTest, HelpOpensWithExamplesAndShowsEveryFlag) {
  const std::string help = command_.help();
  EXPECT_LT(help.find("examples:"), help.find("--samples"));
  for (const char* text : {"-o, --output DIR", "--resume, --no-resume", "numbers:", "--ignore NAME"}) {
    EXPECT_THAT(help, HasSubstr(text));
  }
}

TEST_F(CommandTest, HelpFindsFlagsByAWord) {
  const std::string help = command_.help("budget");
  EXPECT_THAT(help, HasSubstr("--memory SIZE"));
  EXPECT_THAT(help, Not(HasSubstr("--samples")));
}

}  // namespace
}  // namespace farthing::cli
