// Which files of a model folder hold its weights.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace farthing::checkpoint {

struct WeightFiles {
  std::vector<std::filesystem::path> files;       // sorted
  std::filesystem::path index;                    // empty when there is none
  std::map<std::string, std::string> weight_map;  // tensor -> file name, from the index
};

/// Looks for the forms that Checkpoint::open lists, in that order. Throws kNotFound when there are no weights
/// or a shard is missing, kCorruptData when the index makes no sense.
WeightFiles find_weight_files(const std::filesystem::path& directory);

/// The file itself or, for one shard of a GGUF file ("x-00002-of-00003.gguf"), all of them. Throws kNotFound
/// when one is missing.
WeightFiles shards_of(const std::filesystem::path& file);

/// True for files that hold weights or their index, by name: .safetensors, .bin, .pt, .gguf, ...
bool is_weight_file(const std::string& file_name);

}  // namespace farthing::checkpoint
