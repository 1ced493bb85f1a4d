// The MODEL argument: a path, or a name in the Hugging Face cache (models--org--name/refs/main names a
// commit, snapshots/<commit> holds the files).
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> environment_path(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return fs::path(value);
}

// The first of these that is set, as huggingface_hub has it.
fs::path hub_cache() {
  if (const auto path = environment_path("HF_HUB_CACHE")) return *path;
  if (const auto path = environment_path("HUGGINGFACE_HUB_CACHE")) return *path;
  if (const auto path = environment_path("HF_HOME")) return *path / "hub";
  if (const auto path = environment_path("XDG_CACHE_HOME")) return *path / "huggingface" / "hub";
  return environment_path("HOME").value_or("/") / ".cache" / "huggingface" / "hub";
}

struct HubName {
  std::string repository;  // "org/name", or "name" for a few old models
  std::string revision;
};

bool is_plain(std::string_view part) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  };
  return !part.empty() && part.front() != '.' && std::all_of(part.begin(), part.end(), allowed);
}

// Returns nothing for what can only be a path.
std::optional<HubName> parse_hub_name(const std::string& model) {
  const std::size_t at = model.find('@');
  HubName name{model.substr(0, at), at == std::string::npos ? "main" : model.substr(at + 1)};
  const std::size_t slash = name.repository.find('/');
  const bool plain = slash == std::string::npos ? is_plain(name.repository)
                                                : is_plain(name.repository.substr(0, slash)) &&
                                                      is_plain(name.repository.substr(slash + 1));
  if (!plain || name.revision.empty() || name.revision.front() == '/' ||
      name.revision.find("..") != std::string::npos)
    return std::nullopt;
  return name;
}

std::vector<std::string> list_snapshots(const fs::path& repository) {
  std::error_code absent;
  const fs::path folder = repository / "snapshots";
  return fs::is_directory(folder, absent) ? list_folders(folder) : std::vector<std::string>{};
}

// A revision is a branch or tag with a file under refs/, or a commit or the begin of one.
std::optional<fs::path> find_snapshot(const fs::path& repository, const std::string& revision) {
  std::string commit = revision;
  std::error_code absent;
  if (const fs::path reference = repository / "refs" / revision; fs::is_regular_file(reference, absent)) {
    commit = read_text(reference);
    commit.erase(
        std::remove_if(commit.begin(), commit.end(), [](unsigned char c) { return std::isspace(c); }),
        commit.end());
  }
  std::vector<std::string> matches = list_snapshots(repository);
  std::erase_if(matches, [&](const std::string& name) { return !name.starts_with(commit); });
  if (commit.empty() || matches.size() != 1) return std::nullopt;
  return repository / "snapshots" / matches.front();
}

}  // namespace

fs::path find_model(const std::string& model) {
  FARTHING_REQUIRE(!model.empty(), Code::kInvalidArgument, "model name is empty", {},
                   "give a model folder or org/name");
  if (path_exists(model)) return model;
  const std::optional<HubName> name = parse_hub_name(model);
  FARTHING_REQUIRE(name, Code::kNotFound, "there is no such model folder", {{"model", model}},
                   "check the path, or give org/name of a downloaded model");
  const fs::path cache = hub_cache();
  std::string folder = "models--" + name->repository;
  if (const std::size_t slash = folder.find('/'); slash != std::string::npos) folder.replace(slash, 1, "--");
  if (const auto snapshot = find_snapshot(cache / folder, name->revision)) return *snapshot;

  const std::string revision = name->revision == "main" ? "" : " --revision " + name->revision;
  const std::string hint = fmt::format(
      "download it with `hf download {}{}`, or give the folder that holds its config.json and weights",
      name->repository, revision);
  const std::vector<std::string> snapshots = list_snapshots(cache / folder);
  FARTHING_REQUIRE(snapshots.empty(), Code::kNotFound, "model is in the cache, but not this revision",
                   {{"model", name->repository},
                    {"revision", name->revision},
                    {"there_are", fmt::format("{}", fmt::join(snapshots, ", "))}},
                   hint);
  throw Error(Code::kNotFound, "model is neither a folder nor in the Hugging Face cache",
              {{"model", model}, {"looked_in", (cache / folder).string()}}, hint);
}

}  // namespace farthing::checkpoint
