#include "tests/program/program.h"

#include <array>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

namespace farthing::program {
namespace {

pid_t spawn(const std::vector<std::string>& arguments, const std::string& out, const std::string& err,
            const Limits& limits, const std::string& input = "/dev/null") {
  std::vector<char*> argv = {const_cast<char*>(FARTHING_PROGRAM)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t process = ::fork();
  if (process != 0) return process;
  ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
  ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
  ::dup2(::open(input.c_str(), O_RDONLY), STDIN_FILENO);
  if (limits.file_bytes > 0) {
    const rlimit limit{static_cast<rlim_t>(limits.file_bytes), static_cast<rlim_t>(limits.file_bytes)};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);  // the write fails instead
  }
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

}  // namespace

Outcome run(const std::vector<std::string>& arguments, const Limits& limits) {
  const TemporaryFolder folder;
  const pid_t process = spawn(arguments, folder / "out", folder / "err", limits);
  const int code = wait_for(process);
  return {.exit_code = code, .out = read_text(folder / "out"), .err = read_text(folder / "err")};
}

Outcome run_with_input(const std::vector<std::string>& arguments, const std::string& input) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "in", input);
  const int code = wait_for(spawn(arguments, folder / "out", folder / "err", {}, folder / "in"));
  return {.exit_code = code, .out = read_text(folder / "out"), .err = read_text(folder / "err")};
}

pid_t start(const std::vector<std::string>& arguments) {
  return spawn(arguments, "/dev/null", "/dev/null", {});
}

int wait_for(pid_t process) {
  int status = 0;
  ::waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "farthing-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string source_path(const std::string& relative) {
  return std::string(FARTHING_SOURCE_DIR) + "/" + relative;
}

}  // namespace farthing::program
