#include "cli/app.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/system.h"
#include "base/units.h"
#include "cli/error_page.h"
#include "models/family.h"

namespace farthing::cli {
namespace {

CancelToken stop_request;  // global, because a signal handler has no other way to it

extern "C" void on_signal(int number) {
  stop_request.request(number);
}

// The first signal asks the work to stop at the next safe point, the second one ends the process as usual.
void watch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

constexpr std::string_view kGeneralGroup = "every command";

// What someone sees who types the name alone.
constexpr std::string_view kFirstSteps =
    "Farthing makes language and vision-language models small, proves that they still work, and runs them.\n"
    "\n"
    "  farthing quantize MODEL -o DIR                    a 4-bit copy\n"
    "  farthing eval DIR --base MODEL --perplexity FILE  how close it is\n"
    "  farthing run DIR \"Why is the sky blue?\"           one answer\n"
    "\n"
    "MODEL is a folder, or org/name in the Hugging Face cache. All commands: farthing --help\n";

}  // namespace

App::App() = default;
App::~App() = default;

Command& App::command(std::string name, std::string summary) {
  return commands_.emplace_back(std::move(name), std::move(summary));
}

void App::add_general_flags(Command& command) {
  command.group(std::string(kGeneralGroup));
  command.option("--device", "NAME", device_, "auto, cpu, cuda or cuda:N");
  command.option("--threads", "N", num_threads_, "CPU threads; all cores when not given");
  command.option("--declare", "FILE", declaration_, "a family described in YAML (docs/declare.md)");
  command.flag("--json", json_, "the answer as one JSON document on stdout");
  command.flag(
      "--quiet", [this](std::int64_t) { verbosity_ = -1; }, "no progress and no notes");
  command.flag(
      "-v,--verbose", [this](std::int64_t count) { verbosity_ = static_cast<int>(count); }, "more detail");
  command.option("--color", "WHEN", read_choice(color_, {"auto", "always", "never"}),
                 "auto, always or never");
}

void App::apply_general_flags() {
  const ColorChoice choice = color_ == "always"  ? ColorChoice::kAlways
                             : color_ == "never" ? ColorChoice::kNever
                                                 : ColorChoice::kAuto;
  stderr_style_ = terminal_style(stderr, choice);
  stdout_style_ = terminal_style(stdout, choice);
  FARTHING_REQUIRE(num_threads_ >= 0 && num_threads_ <= 4096, Code::kInvalidArgument,
                   "number of threads out of range", {{"--threads", num_threads_}},
                   fmt::format("this machine has {} usable cores", usable_cores()));
  if (!declaration_.empty()) models::add_description(models::FamilyDescription::open(declaration_));
  reporter_ = std::make_unique<TerminalReporter>(stderr, stderr_style_, verbosity_);
}

ThreadPool& App::threads() {
  if (threads_ == nullptr) {
    int wanted = num_threads_;
    const char* variable = std::getenv("OMP_NUM_THREADS");
    if (wanted == 0 && variable != nullptr) wanted = std::clamp(std::atoi(variable), 0, 4096);
    threads_ = std::make_unique<ThreadPool>(wanted);
  }
  return *threads_;
}

Reporter& App::reporter() {
  return *reporter_;
}

const CancelToken& App::cancel() const {
  return stop_request;
}

void App::write(std::string_view text) {
  reporter_->clear();
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  FARTHING_REQUIRE(written, errno == ENOSPC ? Code::kResources : Code::kIo,
                   "cannot write the answer to stdout", {{"reason", std::generic_category().message(errno)}});
}

void App::write_json(const Json& document) {
  Json whole = {{"schema", 1}};
  whole.update(document);
  // Bytes of hostile files that are not UTF-8 become U+FFFD: the document is always valid.
  write(whole.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Command* App::find(const std::string& name) {
  const auto found =
      std::find_if(commands_.begin(), commands_.end(), [&](const Command& c) { return c.name() == name; });
  if (found != commands_.end()) return &*found;
  std::vector<std::string_view> names;
  for (const Command& command : commands_) names.push_back(command.name());
  const std::string nearest = nearest_name(name, names);
  throw Error(Code::kInvalidArgument, "unknown command", {{"command", name}},
              nearest.empty() ? fmt::format("commands: {}", fmt::join(names, ", "))
                              : fmt::format("did you mean: farthing {}", nearest));
}

std::string App::overview() const {
  std::string result =
      "Farthing makes language and vision-language models small, proves that they still work, and runs "
      "them.\n"
      "\n"
      "usage: farthing COMMAND ...\n"
      "\n";
  for (const Command& command : commands_) {
    result += fmt::format("  {:<12}{}\n", command.name(), command.summary());
  }
  return result +
         "\n"
         "farthing COMMAND --help explains a command, --help=WORD finds its flags by a word.\n"
         "exit codes: 0 done, 1 bug, 2 usage, 3 input, 4 memory or disk, 5 deviations under --strict,\n"
         "            6 verification failed, 130 and 143 interrupted\n";
}

int App::dispatch(std::span<const std::string> arguments) {
  if (arguments.empty()) {
    write(kFirstSteps);
    return kDone;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h" || (arguments[0] == "help" && arguments.size() == 1)) {
    write(overview());
    return kDone;
  }
  if (arguments[0] == "--version" || arguments[0] == "version") {
    write(fmt::format("farthing {}\n", FARTHING_VERSION));
    return kDone;
  }
  if (arguments[0] == "help") {
    write(find(arguments[1])->help());
    return kDone;
  }
  FARTHING_REQUIRE(!arguments[0].starts_with('-'), Code::kInvalidArgument, "a command comes first",
                   {{"given", arguments[0]}}, "see: farthing --help");
  Command& command = *find(arguments[0]);
  add_general_flags(command);
  for (const std::string& word : arguments.subspan(1)) {
    if (word == "--") break;
    if (word != "-h" && word != "--help" && !word.starts_with("--help=")) continue;
    write(command.help(word.starts_with("--help=") ? std::string_view(word).substr(7) : ""));
    return kDone;
  }
  command.parse(arguments.subspan(1));
  apply_general_flags();
  const auto start = TimeLeft::Clock::now();
  const int code = command.run();
  const double seconds = std::chrono::duration<double>(TimeLeft::Clock::now() - start).count();
  if (verbosity_ > 0) {
    reporter().note(fmt::format("took {}, peak memory {}", format_duration(seconds),
                                format_bytes(peak_resident_bytes())));
  }
  return code;
}

int App::run(int argc, char** argv) {
  watch_signals();
  const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  // Known before the flags are, so that a mistake in them is reported as asked.
  const auto texts = std::find(arguments.begin(), arguments.end(), "--");
  json_ = std::find(arguments.begin(), texts, "--json") != texts;
  try {
    apply_general_flags();
    return dispatch(arguments);
  } catch (...) {
    const Error error = as_error(std::current_exception());
    reporter_->clear();
    std::fputs(error_lines(error, stderr_style_).c_str(), stderr);
    if (json_) {
      std::fputs((error_document(error).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n").c_str(),
                 stdout);
    }
    return error.code() == Code::kCancelled ? stop_request.exit_code() : exit_code(error.code());
  }
}

}  // namespace farthing::cli
