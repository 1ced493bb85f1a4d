#include "calibrate/dataset_names.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>
#include <vector>

#include "base/error.h"

namespace farthing::calibrate {
namespace {

namespace fs = std::filesystem;

struct Row {
  std::string_view name;
  std::string_view repository;
  std::string_view files;  // what its train split consists of, for the hint
};

constexpr std::array kRows = {
    Row{"wikitext2", "Salesforce/wikitext", "wikitext-2-raw-v1/train"},
    Row{"c4", "allenai/c4", "en/c4-train.00000-of-01024.json.gz"},
    Row{"c4-new", "allenai/c4", "en/c4-train.00000-of-01024.json.gz"},
    Row{"ptb", "ptb-text-only/ptb_text_only", "train"},
    Row{"ptb-new", "ptb-text-only/ptb_text_only", "train"},
    Row{"open_platypus", "garage-bAInd/Open-Platypus", "data/train"},
    Row{"ultrachat_200k", "HuggingFaceH4/ultrachat_200k", "data/train_sft"},
    Row{"flickr30k", "lmms-lab/flickr30k", "data/test"},
};

fs::path cache_folder() {
  if (const char* hub = std::getenv("HF_HUB_CACHE")) return hub;
  if (const char* home = std::getenv("HF_HOME")) return fs::path(home) / "hub";
  if (const char* cache = std::getenv("XDG_CACHE_HOME")) return fs::path(cache) / "huggingface" / "hub";
  const char* home = std::getenv("HOME");
  return fs::path(home ? home : ".") / ".cache" / "huggingface" / "hub";
}

// org/name as the hub writes it; a path that leads nowhere is none.
bool is_repository(const std::string& name) {
  static constexpr std::array kFileEndings = {".txt", ".raw", ".json", ".jsonl", ".ndjson", ".gz"};
  return std::count(name.begin(), name.end(), '/') == 1 && name.front() != '/' && name.front() != '.' &&
         name.front() != '~' && name.back() != '/' &&
         std::none_of(kFileEndings.begin(), kFileEndings.end(),
                      [&](const char* ending) { return name.ends_with(ending); });
}

fs::path snapshots_folder(std::string repository) {
  for (std::size_t at = repository.find('/'); at != std::string::npos; at = repository.find('/'))
    repository.replace(at, 1, "--");
  return cache_folder() / ("datasets--" + repository) / "snapshots";
}

// Old downloads have names without an owner: "wikitext".
std::vector<fs::path> snapshots_of(const std::string& repository) {
  std::vector<fs::path> found;
  for (const std::string& name : {repository, repository.substr(repository.find('/') + 1)}) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(snapshots_folder(name), ignored))
      found.push_back(entry.path());
    if (!found.empty()) break;
  }
  return found;
}

}  // namespace

fs::path find_dataset(const std::string& name) {
  const std::size_t colon = name.find(':');
  const std::string base = name.substr(0, colon);
  const std::string split = colon == std::string::npos ? "" : name.substr(colon + 1);
  const auto row =
      std::find_if(kRows.begin(), kRows.end(), [&](const Row& candidate) { return candidate.name == base; });
  std::vector<std::string_view> names;
  for (const Row& known : kRows) names.push_back(known.name);
  FARTHING_REQUIRE(
      row != kRows.end() || is_repository(base), Code::kNotFound,
      "no such calibration file, folder or data set", {{"calibration", name}},
      fmt::format("give a path, text:\"a sentence\", builtin, or one of {}", fmt::join(names, ", ")));
  const std::string repository(row != kRows.end() ? row->repository : std::string_view(base));
  const std::vector<fs::path> found = snapshots_of(repository);
  FARTHING_REQUIRE(
      !found.empty(), Code::kNotFound, "the data set is not in the Hugging Face cache",
      {{"dataset", repository}, {"looked_in", snapshots_folder(repository).string()}},
      fmt::format("download {} from {} into that folder, or give --calibration a .jsonl or .txt file",
                  row != kRows.end() ? row->files : std::string_view("its files"), repository));
  const fs::path& snapshot = *std::max_element(found.begin(), found.end());
  const auto with = [&](std::string_view part) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(snapshot)) {
      if (entry.is_regular_file() &&
          entry.path().lexically_relative(snapshot).string().find(part) != std::string::npos)
        files.push_back(entry.path());
    }
    return files;
  };
  std::vector<fs::path> files = with(split.empty() && row != kRows.end() ? row->files : split);
  if (split.empty() && (files.empty() || row == kRows.end())) return snapshot;
  FARTHING_REQUIRE(!files.empty(), Code::kNotFound, "the data set has no such split",
                   {{"dataset", repository}, {"split", split}, {"folder", snapshot.string()}},
                   "a split is a part of a file's name there, such as train or validation");
  return *std::min_element(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) {
    return std::pair(a.extension() == ".parquet", a) < std::pair(b.extension() == ".parquet", b);
  });
}

}  // namespace farthing::calibrate
