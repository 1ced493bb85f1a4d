// What the metadata and tensor names of llama.cpp mean in the words of Hugging Face.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace farthing::checkpoint::gguf {

/// The Hugging Face name of a tensor, or nothing when the checkpoint has no such tensor ("rope_freqs.weight",
/// which is computed). Names that are not known come back as they are.
std::optional<std::string> tensor_name(std::string_view name);

/// The number of heads whose rows llama.cpp interleaves in this tensor; 0 when it does not.
std::int64_t interleaved_heads(const Json& metadata, std::string_view name);

struct ModelFacts {
  std::int64_t vocab_size = 0;  // rows of the embedding
  bool has_head = false, has_attention_bias = false;
  float largest_rope_factor = 0;  // of rope_freqs.weight; 0 when there is none
};

/// Writes config.json. Throws kUnsupported for architectures that are not mapped, kCorruptData naming the key
/// for metadata that is missing or of another type.
Json model_config(const Json& metadata, const ModelFacts& facts, const std::string& file);

}  // namespace farthing::checkpoint::gguf
