#include "base/directory.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

namespace farthing {

namespace fs = std::filesystem;

namespace {

void require_done(const std::error_code& problem, const char* message, const fs::path& path) {
  FARTHING_REQUIRE(!problem, Code::kIo, message, {{"folder", path.string()}, {"reason", problem.message()}},
                   "check that it exists and that you may use it");
}

std::vector<std::string> list(const fs::path& directory, bool folders) {
  std::vector<std::string> names;
  std::error_code problem;
  for (fs::directory_iterator entry(directory, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    std::error_code dangling;
    if (entry->is_directory(dangling) == folders) names.push_back(entry->path().filename().string());
  }
  require_done(problem, "cannot read folder", directory);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

bool path_exists(const fs::path& path) {
  std::error_code problem;
  return fs::exists(path, problem);
}

std::vector<std::string> list_files(const fs::path& directory) {
  return list(directory, false);
}
std::vector<std::string> list_folders(const fs::path& directory) {
  return list(directory, true);
}

void create_folders(const fs::path& directory) {
  std::error_code problem;
  fs::create_directories(directory, problem);
  require_done(problem, "cannot create folder", directory);
}

void remove_tree(const fs::path& path) {
  std::error_code problem;
  fs::remove_all(path, problem);
  require_done(problem, "cannot remove folder", path);
}

std::optional<std::uint64_t> free_disk_bytes(const fs::path& directory) {
  struct statvfs info {};
  if (::statvfs(directory.empty() ? "." : directory.c_str(), &info) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

void rename_path(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) throw_system_error("cannot rename", to);
}

bool exchange_paths(const fs::path& first, const fs::path& second) {
  if (::renameat2(AT_FDCWD, first.c_str(), AT_FDCWD, second.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS) return false;
  throw_system_error("cannot swap folders", second);
}

bool is_mount_point(const fs::path& directory) {
  struct stat own {
  }, parent{};
  return ::stat(directory.c_str(), &own) == 0 && ::stat((directory / "..").c_str(), &parent) == 0 &&
         own.st_dev != parent.st_dev;
}

DirectoryLock::DirectoryLock(const fs::path& directory)
    : descriptor_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0) throw_system_error("cannot open folder", directory);
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(descriptor_);
  throw Error(Code::kInvalidArgument, "another run is writing to this folder",
              {{"folder", directory.string()}}, "wait for it to end, or choose another output folder");
}

DirectoryLock::~DirectoryLock() {
  ::close(descriptor_);
}

}  // namespace farthing
