// GGUF, the container of llama.cpp: metadata, tensors in blocks, names of its own. Tensors come out under the
// names, with the shapes and in the order of rows that Hugging Face checkpoints have, as plain floats.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <filesystem>
#include <span>

#include "checkpoint/container.h"

namespace farthing::checkpoint::gguf {

bool is_gguf(std::span<const std::byte> bytes);

/// Lists the tensors and writes the config.json that belongs to them. Throws kCorruptData naming file and key
/// or tensor for contents that contradict each other, kUnsupported for other versions and architectures. A
/// shard after the first has no config and takes the model's facts from `first_values`, the metadata of the
/// first.
Container read_header(std::span<const std::byte> bytes, const std::filesystem::path& file,
                      const Json& first_values = nullptr);

/// Corrects what a first shard cannot know of the tensors in the others.
void complete_config(const std::vector<TensorInfo>& tensors, Json& config);

/// All metadata, arrays included. Throws as read_header does, and kCorruptData when `file` is no GGUF.
Json read_metadata(const std::filesystem::path& file);

/// Decodes a tensor that lies in blocks or with interleaved rows; `stored` begins at its first byte.
Tensor read_tensor(std::span<const std::byte> stored, const TensorInfo& info);

}  // namespace farthing::checkpoint::gguf
