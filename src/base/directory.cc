#include "base/directory.h"

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

std::uint64_t free_disk_bytes(const fs::path& directory) {
  struct statvfs info {};
  if (::statvfs(directory.empty() ? "." : directory.c_str(), &info) != 0) return 0;
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
