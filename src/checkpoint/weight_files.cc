#include "checkpoint/weight_files.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <string_view>

#include "base/directory.h"
#include "base/error.h"
#include "base/json.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kForms =
    "looked for model.safetensors, model.safetensors.index.json, gptq_model*.safetensors, pytorch_model.bin, "
    "pytorch_model.bin.index.json, other *.safetensors, one *.bin/*.pt/*.pth, one *.gguf";
constexpr const char* kSafetensorsIndex = ".safetensors.index.json";
constexpr std::size_t kMaxListed = 12;

// Files that training leaves beside the weights and that look like them.
constexpr std::array<std::string_view, 7> kNotWeights = {
    "training_args", "optimizer", "scheduler", "scaler", "rng_state", "adapter_model", "trainer"};
constexpr std::array<std::string_view, 15> kWeightEndings = {".safetensors", ".safetensors.index.json",
                                                             ".bin",         ".bin.index.json",
                                                             ".pt",          ".pth",
                                                             ".ckpt",        ".gguf",
                                                             ".h5",          ".msgpack",
                                                             ".onnx",        ".onnx_data",
                                                             ".ot",          ".npz",
                                                             ".tflite"};

using Names = std::vector<std::string>;

template <typename Condition>
Names select(const Names& names, Condition condition) {
  Names result;
  std::copy_if(names.begin(), names.end(), std::back_inserter(result), condition);
  return result;
}

bool is_training_state(const std::string& name) {
  return std::any_of(kNotWeights.begin(), kNotWeights.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

[[noreturn]] void throw_no_weights(const fs::path& directory, const Names& names) {
  const Names listed(names.begin(),
                     names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kMaxListed)));
  std::string there = fmt::format("{}", fmt::join(listed, ", "));
  if (names.size() > kMaxListed) there += fmt::format(" and {} more", names.size() - kMaxListed);
  throw Error(Code::kNotFound, "folder holds no weights",
              {{"folder", directory.string()}, {"files", names.empty() ? "none" : there}}, kForms);
}

// "model-00001-of-00003.safetensors" without an index: all three must be there.
void require_all_shards(const fs::path& directory, const Names& names) {
  for (const std::string& name : names) {
    const std::size_t of = name.rfind("-of-");
    if (of == std::string::npos || of < 6) continue;
    int number = 0, count = 0, end = 0;
    if (std::sscanf(name.c_str() + of - 6, "-%5d-of-%5d%n", &number, &count, &end) != 2) continue;
    for (int i = 1; i <= count; ++i) {
      const std::string wanted = fmt::format("{}-{:05d}{}", name.substr(0, of - 6), i, name.substr(of));
      FARTHING_REQUIRE(std::binary_search(names.begin(), names.end(), wanted), Code::kNotFound,
                       "shard is missing", {{"file", (directory / wanted).string()}, {"shards", count}},
                       "the download is incomplete; fetch the missing file");
    }
  }
}

// "model" of "model-00001-of-00003.gguf"; empty for a file that is no shard.
std::string_view shard_stem(std::string_view name) {
  constexpr std::string_view kEnding = "-00001-of-00001.gguf";
  if (name.size() <= kEnding.size()) return "";
  const std::string_view ending = name.substr(name.size() - kEnding.size());
  const bool fits = std::ranges::equal(ending, kEnding, [](char a, char b) {
    const bool digit = a >= '0' && a <= '9';
    return digit == (b >= '0' && b <= '9') && (digit || a == b);
  });
  return fits ? name.substr(0, name.size() - kEnding.size()) : "";
}

WeightFiles all_of(const fs::path& directory, const Names& names) {
  require_all_shards(directory, names);
  WeightFiles result;
  for (const std::string& name : names) result.files.push_back(directory / name);
  return result;
}

WeightFiles from_index(const fs::path& directory, const std::string& index_name) {
  WeightFiles result;
  result.index = directory / index_name;
  const SortedJson index = read_sorted_json(result.index);
  const auto require = [&](bool condition, std::string_view reason) {
    FARTHING_REQUIRE(condition, Code::kCorruptData, "index cannot be used",
                     {{"file", result.index.string()}, {"reason", reason}}, "fetch it again");
  };
  require(index.is_object() && index.contains("weight_map") && index["weight_map"].is_object() &&
              !index["weight_map"].empty(),
          "it has no weight_map");
  std::map<std::string, std::string> first_tensor;  // of each file
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    require(file.is_string(), "weight_map holds something that is not a file name");
    const std::string& name = file.get_ref<const std::string&>();
    require(!name.empty() && name.find('/') == std::string::npos && name != "..",
            "weight_map points out of the folder");
    result.weight_map.emplace(tensor, name);
    first_tensor.emplace(name, tensor);
  }
  for (const auto& [name, tensor] : first_tensor) {
    FARTHING_REQUIRE(path_exists(directory / name), Code::kNotFound, "shard is missing",
                     {{"file", (directory / name).string()}, {"tensor", tensor}, {"index", index_name}},
                     "the download is incomplete; fetch the missing file");
    result.files.push_back(directory / name);
  }
  return result;
}

}  // namespace

WeightFiles find_weight_files(const fs::path& directory) {
  const Names names = list_files(directory);
  const auto has = [&](std::string_view name) {
    return std::binary_search(names.begin(), names.end(), name);
  };
  const auto between = [&](std::string_view begin, std::string_view end) {
    return select(names,
                  [=](const std::string& name) { return name.starts_with(begin) && name.ends_with(end); });
  };

  if (has("model.safetensors")) return all_of(directory, {"model.safetensors"});
  if (has("model.safetensors.index.json")) return from_index(directory, "model.safetensors.index.json");
  if (const Names found = between("", kSafetensorsIndex); !found.empty())
    return from_index(directory, found.front());
  for (const char* prefix : {"gptq_model", "model"}) {
    if (const Names found = between(prefix, ".safetensors"); !found.empty()) return all_of(directory, found);
  }
  if (has("pytorch_model.bin")) return all_of(directory, {"pytorch_model.bin"});
  if (has("pytorch_model.bin.index.json")) return from_index(directory, "pytorch_model.bin.index.json");
  if (const Names found = between("pytorch_model-", ".bin"); !found.empty()) return all_of(directory, found);
  const Names safetensors = select(names, [](const std::string& name) {
    return name.ends_with(".safetensors") && !is_training_state(name);
  });
  if (!safetensors.empty()) return all_of(directory, safetensors);
  const Names torch = select(names, [](const std::string& name) {
    return (name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth")) &&
           !is_training_state(name);
  });
  if (torch.size() == 1) return all_of(directory, torch);
  const Names gguf = select(between("", ".gguf"), [](const std::string& name) {
    return !name.starts_with("mmproj");  // the picture's part of another file
  });
  const bool shards = std::ranges::all_of(
      gguf, [&](const std::string& name) { return shard_stem(name) == shard_stem(gguf.front()); });
  if (gguf.size() == 1 || (!gguf.empty() && shards && !shard_stem(gguf.front()).empty()))
    return all_of(directory, gguf);
  throw_no_weights(directory, names);
}

WeightFiles shards_of(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::string_view stem = shard_stem(name);
  WeightFiles single;
  single.files = {file};
  if (stem.empty()) return single;
  const fs::path directory = file.has_parent_path() ? file.parent_path() : fs::path(".");
  return all_of(directory, select(list_files(directory),
                                  [&](const std::string& other) { return shard_stem(other) == stem; }));
}

bool is_weight_file(const std::string& file_name) {
  return std::any_of(kWeightEndings.begin(), kWeightEndings.end(),
                     [&](std::string_view ending) { return file_name.ends_with(ending); });
}

}  // namespace farthing::checkpoint
