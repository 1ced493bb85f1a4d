#include "cli/terminal.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/system.h"
#include "base/units.h"

namespace farthing::cli {
namespace {

constexpr auto kRedrawInterval = std::chrono::milliseconds(100);
constexpr auto kPipeInterval = std::chrono::seconds(30);  // between progress lines in a log

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

int columns_of(std::FILE* stream) {
  if (const char* columns = std::getenv("COLUMNS"); columns != nullptr && *columns != '\0') {
    return std::clamp(std::atoi(columns), 20, 1000);
  }
  winsize size{};
  if (::ioctl(::fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
}

}  // namespace

TerminalStyle terminal_style(std::FILE* stream, ColorChoice choice) {
  const char* term = std::getenv("TERM");
  const bool terminal = ::isatty(::fileno(stream)) == 1 && std::string_view(term ? term : "dumb") != "dumb";
  TerminalStyle style;
  style.redraw = terminal;
  style.color =
      choice == ColorChoice::kAlways || (choice == ColorChoice::kAuto && terminal && !is_set("NO_COLOR"));
  style.columns = columns_of(stream);
  return style;
}

std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = c == '\n' || c == '\t' ? ' ' : '?';
  }
  return result;
}

void TimeLeft::add(double fraction, Clock::time_point now) {
  if (!steps_.empty() && fraction <= steps_.back().first) return;
  steps_.emplace_back(fraction, now);
  if (steps_.size() > kWindow + 1) steps_.pop_front();
}

std::optional<double> TimeLeft::seconds(Clock::time_point now) const {
  constexpr std::size_t kFewest = 4;  // three steps lie between four marks
  if (steps_.size() < kFewest) return std::nullopt;
  const auto seconds_between = [](Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
  };
  const auto& [first, start] = steps_.front();
  const auto& [last, end] = steps_.back();
  const double rest = seconds_between(start, end) / (last - first) * (1.0 - last);
  return std::max(0.0, rest - seconds_between(end, now));
}

TerminalReporter::TerminalReporter(std::FILE* stream, TerminalStyle style, int verbosity)
    : stream_(stream), style_(style), verbosity_(verbosity) {}

TerminalReporter::~TerminalReporter() {
  clear();
}

void TerminalReporter::clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stream_);
  std::fflush(stream_);
  drawn_ = false;
}

void TerminalReporter::line(std::string_view text) {
  clear();
  const std::string stamp = style_.redraw ? "" : time_stamp() + " ";
  fmt::print(stream_, "{}{}\n", stamp, text);
  std::fflush(stream_);
}

void TerminalReporter::note(std::string_view text) {
  if (verbosity_ >= 0) line(printable(text));
}

void TerminalReporter::warn(std::string_view text) {
  line(fmt::format("{}warning:{} {}", style_.color ? "\x1b[33m" : "", style_.color ? "\x1b[0m" : "",
                   printable(text)));
}

void TerminalReporter::finished(std::string_view text) {
  if (verbosity_ >= 0) line(printable(text));
}

std::string TerminalReporter::progress_line(const Progress& progress, Clock::time_point now) const {
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  std::string text;
  if (progress.total > 0) {
    const auto width = static_cast<int>(fmt::formatted_size("{}", progress.total));
    text += fmt::format("[{:>{}}/{}] ", progress.done, width, progress.total);
  }
  text += fmt::format("{:>3.0f}%  {}", std::clamp(progress.fraction, 0.0, 1.0) * 100, progress.stage);
  if (!progress.detail.empty()) text += fmt::format("  {}", progress.detail);
  text += fmt::format("  |  {} elapsed", format_duration(elapsed));
  if (const auto left = time_left_.seconds(now)) text += fmt::format("  {} left", format_duration(*left));
  text += fmt::format("  |  host {}", format_bytes(resident_bytes()));
  return printable(text);
}

void TerminalReporter::progress(const Progress& progress) {
  if (verbosity_ < 0) return;
  const auto now = Clock::now();
  if (progress.stage != stage_) {
    stage_ = progress.stage;
    time_left_ = {};
  }
  time_left_.add(progress.fraction, now);
  const auto interval = style_.redraw ? Clock::duration(kRedrawInterval) : Clock::duration(kPipeInterval);
  const auto since = last_draw_ == Clock::time_point{} ? start_ : last_draw_;
  if (now - since < interval) return;
  last_draw_ = now;
  const std::string text = progress_line(progress, now);
  if (!style_.redraw) {
    line(text);
    return;
  }
  const auto shown = text.substr(0, static_cast<std::size_t>(style_.columns - 1));
  fmt::print(stream_, "\r{}\x1b[K", shown);
  std::fflush(stream_);
  drawn_ = true;
}

}  // namespace farthing::cli
