// What a person sees on stderr while work goes on: one redrawn line with an estimate of the time left on a
// terminal, plain lines with a time stamp in a pipe. Colour only where it is wanted and can be shown.
#pragma once

#include <chrono>
#include <cstdio>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/reporter.h"

namespace farthing::cli {

enum class ColorChoice { kAuto, kAlways, kNever };

/// What a stream can show. By the common rules: redrawing needs a terminal whose TERM is not "dumb"; colour
/// needs that too and NO_COLOR unset, unless the user chose.
struct TerminalStyle {
  bool redraw = false;
  bool color = false;
  int columns = 80;
};
TerminalStyle terminal_style(std::FILE* stream, ColorChoice choice);

/// Replaces control characters, which names inside hostile files may hold, by '?'.
std::string printable(std::string_view text);

/// How long the rest takes, from the speed of the last steps. Nothing until three steps are timed: the first
/// ones are never typical.
class TimeLeft {
 public:
  using Clock = std::chrono::steady_clock;

  /// Notes that `fraction` of the run is done at `now`. Fractions that do not grow are not steps.
  void add(double fraction, Clock::time_point now);

  /// Returns the seconds left at `now`, or nothing when that is not known yet.
  std::optional<double> seconds(Clock::time_point now) const;

 private:
  static constexpr std::size_t kWindow = 8;  // steps that the speed is taken from
  std::deque<std::pair<double, Clock::time_point>> steps_;
};

/// Writes to one stream. Verbosity -1 keeps warnings only.
class TerminalReporter : public Reporter {
 public:
  TerminalReporter(std::FILE* stream, TerminalStyle style, int verbosity);
  ~TerminalReporter() override;

  void note(std::string_view line) override;
  void warn(std::string_view line) override;
  void progress(const Progress& progress) override;
  void finished(std::string_view line) override;

  /// Removes the redrawn line, so that something else can be printed.
  void clear();

  /// Returns the text of the progress line: share, stage, detail, elapsed, left, memory.
  std::string progress_line(const Progress& progress, TimeLeft::Clock::time_point now) const;

 private:
  using Clock = TimeLeft::Clock;
  void line(std::string_view text);

  std::FILE* stream_;
  TerminalStyle style_;
  int verbosity_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_draw_;
  std::string stage_;
  TimeLeft time_left_;
};

}  // namespace farthing::cli
