#include "checkpoint/staging.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/weight_files.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

fs::path with_suffix(const fs::path& path, const char* suffix) {
  fs::path result = path;
  result += suffix;
  return result;
}

// "out/", "./out" and a link to a folder mean the folder itself, whose neighbour is on the same file system.
fs::path real_path(const fs::path& path) {
  std::error_code problem;
  const fs::path result = fs::weakly_canonical(fs::absolute(path, problem), problem);
  FARTHING_REQUIRE(!problem, Code::kIo, "cannot use output folder",
                   {{"output", path.string()}, {"reason", problem.message()}});
  return result.has_filename() ? result : result.parent_path();
}

bool is_empty_folder(const fs::path& folder) {
  return list_files(folder).empty() && list_folders(folder).empty();
}

// --overwrite deletes what was there, so it has to be something that a tool like this wrote.
bool looks_like_a_model(const fs::path& folder) {
  const std::vector<std::string> names = list_files(folder);
  return std::any_of(names.begin(), names.end(),
                     [](const std::string& name) { return name == "config.json" || is_weight_file(name); });
}

void check_target(const fs::path& target, bool overwrite) {
  FARTHING_REQUIRE(target != target.root_path(), Code::kInvalidArgument, "output cannot be the root folder",
                   {{"output", target.string()}});
  if (!path_exists(target)) return;
  const auto refuse = [&](const char* message, const char* hint) {
    throw Error(Code::kInvalidArgument, message, {{"output", target.string()}}, hint);
  };
  if (!fs::is_directory(target)) refuse("output exists and is not a folder", "choose another name");
  if (is_mount_point(target))
    refuse("output is a mount point, which cannot be replaced", "choose a folder inside it");
  if (is_empty_folder(target)) return;
  if (!overwrite) refuse("output folder exists", "choose another name, or add --overwrite to replace it");
  if (!looks_like_a_model(target))
    refuse("output folder does not hold a model, so it is not replaced",
           "choose another name, or remove it yourself");
}

void sync_tree(const fs::path& folder) {
  for (const std::string& name : list_files(folder))
    PositionalFile(folder / name, PositionalFile::Mode::kRead).sync();
  for (const std::string& name : list_folders(folder)) sync_tree(folder / name);
  sync_directory(folder);
}

}  // namespace

StagedDirectory::StagedDirectory(const fs::path& final_path, StagingOptions options)
    : final_(real_path(final_path)), staging_(with_suffix(final_, ".partial")) {
  check_target(final_, options.overwrite);
  create_folders(staging_);
  lock_.emplace(staging_);
  resumed_ = !is_empty_folder(staging_);
  if (!resumed_ || options.resume) return;
  for (const std::string& name : list_files(staging_)) remove_tree(staging_ / name);
  for (const std::string& name : list_folders(staging_)) remove_tree(staging_ / name);
  resumed_ = false;
}

void StagedDirectory::commit() {
  sync_tree(staging_);
  if (path_exists(final_) && !is_empty_folder(final_)) {
    replace_old();
  } else {
    rename_path(staging_, final_);
  }
  sync_directory(final_.parent_path());
}

// After the swap the old output has the staging name; it moves on to a name that no later run takes for its
// own.
void StagedDirectory::replace_old() {
  const fs::path old = with_suffix(final_, ".replaced");
  remove_tree(old);
  if (exchange_paths(staging_, final_)) {
    rename_path(staging_, old);
  } else {
    rename_path(final_, old);
    try {
      rename_path(staging_, final_);
    } catch (...) {
      rename_path(old, final_);
      throw;
    }
  }
  std::error_code ignored;  // the result is in place; what cannot be removed now goes at the next replacement
  fs::remove_all(old, ignored);
}

void StagedDirectory::discard() {
  lock_.reset();
  remove_tree(staging_);
}

}  // namespace farthing::checkpoint
