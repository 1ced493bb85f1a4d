// The program around the commands: what every command may use, and the way from argv to an exit code.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "base/cancel.h"
#include "base/json.h"
#include "base/reporter.h"
#include "base/thread_pool.h"
#include "cli/args.h"
#include "cli/terminal.h"

namespace farthing::cli {

/// Exit codes of a command that ended as planned and still has something to say; the rest come from Error.
constexpr int kDone = 0;
constexpr int kDoneWithDeviations = 5;
constexpr int kVerificationFailed = 6;

class App {
 public:
  App();
  ~App();

  /// Declares a command; it then has the general flags too.
  Command& command(std::string name, std::string summary);

  /// Runs the command that argv names and returns the exit code. Errors are printed here and nowhere else.
  int run(int argc, char** argv);

  // What a running command uses.

  /// True when the answer is one JSON document instead of text.
  bool json() const { return json_; }
  /// -1 with --quiet, else how often -v was given.
  int verbosity() const { return verbosity_; }
  /// What --device says.
  const std::string& device() const { return device_; }
  /// Started at the first call, with --threads, OMP_NUM_THREADS or all usable cores.
  ThreadPool& threads();
  Reporter& reporter();
  const CancelToken& cancel() const;
  /// The same reporter, for commands that talk to a person.
  const TerminalStyle& stdout_style() const { return stdout_style_; }

  /// Writes a part of the answer to stdout and flushes it. Throws kIo, or kResources on a full disk.
  void write(std::string_view text);
  /// Writes the answer of --json: `document` after "schema". Once per run.
  void write_json(const Json& document);

 private:
  Command* find(const std::string& name);
  int dispatch(std::span<const std::string> arguments);
  std::string overview() const;
  void add_general_flags(Command& command);
  void apply_general_flags();

  std::deque<Command> commands_;  // references stay valid
  std::string device_ = "auto";
  int num_threads_ = 0;
  bool json_ = false;
  int verbosity_ = 0;
  std::string color_ = "auto";
  std::string declaration_;
  TerminalStyle stderr_style_, stdout_style_;
  std::unique_ptr<TerminalReporter> reporter_;
  std::unique_ptr<ThreadPool> threads_;
};

}  // namespace farthing::cli
