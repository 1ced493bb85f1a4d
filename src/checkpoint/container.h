// One weight file, whatever its kind: its first bytes tell which reader lists its tensors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace farthing::checkpoint {

/// What the header of one weight file says.
struct Container {
  std::vector<TensorInfo> tensors;              // in the order of the file
  std::map<std::string, std::string> metadata;  // safetensors' `__metadata__`, the texts of GGUF's
  Json config;       // GGUF: what config.json would say; null for all others and for further shards
  Json gguf_values;  // GGUF: all metadata but arrays, which further shards need
};

/// Lists the tensors of a mapped file without touching their data. `file` is what infos and errors name.
/// `first_values` are the gguf_values of a model's first file, null for that one itself. Throws kCorruptData,
/// or kUnsupported for kinds that are not read.
Container read_container(std::span<const std::byte> bytes, const std::filesystem::path& file,
                         const Json& first_values = nullptr);

}  // namespace farthing::checkpoint
