// Folders: free space, locks, and renames that leave no moment without a result.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace farthing {

/// True when something is there that can be looked at; never throws.
bool path_exists(const std::filesystem::path& path);

/// Names of what `directory` holds, sorted: everything that is not a folder (links count as what they lead
/// to), or the folders. Throws kIo.
std::vector<std::string> list_files(const std::filesystem::path& directory);
std::vector<std::string> list_folders(const std::filesystem::path& directory);

/// Creates `directory` and the folders above it where they are missing. Throws kIo.
void create_folders(const std::filesystem::path& directory);

/// Removes `path` and everything in it, if it exists. Throws kIo.
void remove_tree(const std::filesystem::path& path);

/// Returns the bytes that a user may still write on the disk of `directory`, where the system tells.
std::optional<std::uint64_t> free_disk_bytes(const std::filesystem::path& directory);

/// Renames `from` to `to`, which must not exist or be an empty folder if `from` is a folder. Throws kNotFound
/// or kIo.
void rename_path(const std::filesystem::path& from, const std::filesystem::path& to);

/// Swaps two paths of one file system in one step. Returns false where the file system cannot; throws
/// kNotFound or kIo.
bool exchange_paths(const std::filesystem::path& first, const std::filesystem::path& second);

/// True when another file system is mounted at `directory`.
bool is_mount_point(const std::filesystem::path& directory);

/// Holds a folder for this process until destruction or the end of the process, however it ends.
class DirectoryLock {
 public:
  /// Throws kInvalidArgument when another process holds it. File systems without locks are let through.
  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace farthing
