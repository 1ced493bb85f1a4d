#include "cli/terminal.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace farthing::cli {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

TEST(TimeLeftTest, IsHiddenUntilThreeStepsAreTimed) {
  TimeLeft left;
  const TimeLeft::Clock::time_point start{};
  for (int step = 0; step < 3; ++step) {
    left.add(0.1 * step, start + seconds(10 * step));
    EXPECT_FALSE(left.seconds(start + seconds(10 * step)).has_value());
  }
  left.add(0.3, start + seconds(30));
  ASSERT_TRUE(left.seconds(start + seconds(30)).has_value());
  EXPECT_NEAR(*left.seconds(start + seconds(30)), 70.0, 1e-6);
  EXPECT_NEAR(*left.seconds(start + seconds(35)), 65.0, 1e-6);
}

TEST(TimeLeftTest, FollowsTheLastStepsOnly) {
  TimeLeft left;
  TimeLeft::Clock::time_point now{};
  double fraction = 0;
  for (int step = 0; step < 5; ++step, fraction += 0.01)
    left.add(fraction, now += seconds(100));  // slow start
  for (int step = 0; step < 20; ++step, fraction += 0.01) left.add(fraction, now += seconds(1));
  const double rest = 1.0 - (fraction - 0.01);
  EXPECT_NEAR(*left.seconds(now), rest / 0.01, 1e-6);
}

TEST(TimeLeftTest, IgnoresRepeatedFractions) {
  TimeLeft left;
  for (int i = 0; i < 10; ++i) left.add(0.5, TimeLeft::Clock::time_point{} + seconds(i));
  EXPECT_FALSE(left.seconds(TimeLeft::Clock::time_point{} + seconds(10)).has_value());
}

TEST(TerminalStyleTest, FollowsTheEnvironmentAndTheFlag) {
  std::FILE* file = std::tmpfile();
  EXPECT_FALSE(terminal_style(file, ColorChoice::kAuto).color);
  EXPECT_FALSE(terminal_style(file, ColorChoice::kAuto).redraw);
  EXPECT_TRUE(terminal_style(file, ColorChoice::kAlways).color);
  EXPECT_FALSE(terminal_style(file, ColorChoice::kNever).color);
  std::fclose(file);
}

TEST(PrintableTest, DisarmsControlCharacters) {
  EXPECT_EQ(printable("a\x1b[31mb\r\x07\nc"), "a?[31mb?? c");
  EXPECT_EQ(printable("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

// What a reporter wrote to its stream.
class TerminalReporterTest : public testing::Test {
 protected:
  ~TerminalReporterTest() override { std::fclose(stream_); }

  std::string written() {
    std::fflush(stream_);
    std::string text(static_cast<std::size_t>(std::ftell(stream_)), '\0');
    std::rewind(stream_);
    text.resize(std::fread(text.data(), 1, text.size(), stream_));
    return text;
  }

  std::FILE* stream_ = std::tmpfile();
};

TEST_F(TerminalReporterTest, APipeGetsPlainLinesWithTimeStamps) {
  TerminalReporter reporter(stream_, {}, 0);
  reporter.note("plan  8 blocks");
  for (int i = 0; i < 50; ++i) reporter.progress({.stage = "quantize", .fraction = i / 50.0});
  reporter.finished("block 0");
  const std::string text = written();
  EXPECT_THAT(text, testing::MatchesRegex("[0-9:]+ plan  8 blocks\n[0-9:]+ block 0\n"));
}

TEST_F(TerminalReporterTest, ATerminalGetsOneRedrawnLine) {
  TerminalReporter reporter(stream_, {.redraw = true, .columns = 35}, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  reporter.progress({.stage = "quantize", .fraction = 0.5, .done = 4, .total = 8, .detail = "block 4"});
  reporter.finished("block 4  err 0.01");
  EXPECT_THAT(written(), HasSubstr("\r[4/8]  50%  quantize  block 4  |  \x1b[K\r\x1b[Kblock 4  err 0.01\n"));
}

TEST_F(TerminalReporterTest, QuietKeepsWarningsOnly) {
  TerminalReporter reporter(stream_, {}, -1);
  reporter.note("note");
  reporter.finished("row");
  reporter.warn("careful");
  EXPECT_THAT(written(),
              testing::AllOf(HasSubstr("warning: careful"), Not(HasSubstr("note")), Not(HasSubstr("row"))));
}

}  // namespace
}  // namespace farthing::cli
