// An output folder that is either complete or not there: work happens beside it and a rename makes it
// visible.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/directory.h"

namespace farthing::checkpoint {

struct StagingOptions {
  bool overwrite = false;  // replace an existing output at commit, not before
  bool resume = false;     // keep what an earlier run left in the staging folder
};

/// Holds `<final>.partial` while it is being filled. Destruction without commit leaves the staging folder for
/// a resume.
class StagedDirectory {
 public:
  /// Creates the staging folder (and parents) and locks it against a second run. Throws kInvalidArgument when
  /// `final_path` exists and `overwrite` is not set, or is something that must not be replaced (a file, a
  /// mount point, a folder that does not look like a model); kIo when the parent cannot be written.
  explicit StagedDirectory(const std::filesystem::path& final_path, StagingOptions options = {});

  /// Where to write.
  const std::filesystem::path& path() const { return staging_; }
  const std::filesystem::path& final_path() const { return final_; }

  /// True when an earlier run's files were kept.
  bool resumed() const { return resumed_; }

  /// Syncs every file and makes the folder visible under its final name; an old one is swapped out in the
  /// same moment.
  void commit();

  /// Removes the staging folder.
  void discard();

 private:
  void replace_old();

  std::filesystem::path final_;
  std::filesystem::path staging_;
  bool resumed_ = false;
  std::optional<DirectoryLock> lock_;
};

/// Copies every file of a model folder that is not weights, README.md, hidden or named in `skip`, byte for
/// byte, and the folder additional_chat_templates. Returns the names copied, sorted. Throws kIo or
/// kResources.
std::vector<std::string> copy_side_files(const std::filesystem::path& from, const std::filesystem::path& to,
                                         const std::set<std::string>& skip = {});

}  // namespace farthing::checkpoint
