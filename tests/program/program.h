// Runs the built program and keeps what it said.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace farthing::program {

struct Outcome {
  int exit_code = -1;  // 128 + signal when a signal ended it
  std::string out, err;
};

struct Limits {
  long file_bytes = 0;  // RLIMIT_FSIZE, which behaves like a full disk; 0: none
};

/// Runs `farthing` with these arguments to its end.
Outcome run(const std::vector<std::string>& arguments, const Limits& limits = {});

/// The same with a text on its standard input, which is empty otherwise.
Outcome run_with_input(const std::vector<std::string>& arguments, const std::string& input);

/// Starts it in the background and returns its process id; finish with `wait_for`.
pid_t start(const std::vector<std::string>& arguments);
int wait_for(pid_t process);

/// A folder of its own for one test, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Paths of what the project ships.
std::string source_path(const std::string& relative);

}  // namespace farthing::program
