// What a model folder holds beside its weights and what a new model folder needs as well.
#include <algorithm>

#include "base/directory.h"
#include "base/error.h"
#include "checkpoint/staging.h"
#include "checkpoint/weight_files.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTemplates = "additional_chat_templates";

void copy_one(const fs::path& from, const fs::path& to) {
  std::error_code problem;
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, problem);
  // The cache of a hub is often read-only; the copy is the user's own.
  if (!problem)
    fs::permissions(to, fs::perms::owner_read | fs::perms::owner_write, fs::perm_options::add, problem);
  FARTHING_REQUIRE(!problem, problem == std::errc::no_space_on_device ? Code::kResources : Code::kIo,
                   "cannot copy file",
                   {{"file", from.string()}, {"to", to.string()}, {"reason", problem.message()}});
}

}  // namespace

std::vector<std::string> copy_side_files(const fs::path& from, const fs::path& to,
                                         const std::set<std::string>& skip) {
  std::vector<std::string> copied;
  const auto wanted = [&](const std::string& name) {
    return !name.starts_with('.') && name != "README.md" && !is_weight_file(name) && !skip.contains(name);
  };
  for (const std::string& name : list_files(from)) {
    if (!wanted(name)) continue;
    copy_one(from / name, to / name);
    copied.push_back(name);
  }
  const std::vector<std::string> folders = list_folders(from);
  if (std::binary_search(folders.begin(), folders.end(), kTemplates) && wanted(kTemplates)) {
    create_folders(to / kTemplates);
    for (const std::string& name : list_files(from / kTemplates))
      copy_one(from / kTemplates / name, to / kTemplates / name);
    copied.emplace_back(kTemplates);
  }
  std::sort(copied.begin(), copied.end());
  return copied;
}

}  // namespace farthing::checkpoint
