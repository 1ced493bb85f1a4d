// What the metadata and tensor names of llama.cpp mean in the words of Hugging Face.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace farthing::checkpoint::gguf {

/// How llama.cpp knows the models of one model_type.
struct StoredArchitecture {
  std::string_view name;             // general.architecture
  bool interleaves_rows = false;     // of query and key, for its own order of rotary embeddings
  bool norms_before_adding = false;  // blocks have norms before their branches and at their ends
  bool norms_hold_factors = false;   // 1 + w, where Hugging Face's norms hold w
  std::string_view mixture = {};     // where Hugging Face has the experts in a block; empty: there are none
  bool normalizes_experts = true;    // the weights of the chosen experts add up to 1
  std::int64_t window_period = 0;  // every so many blocks one sees all tokens, the others a window; 0: all do
  std::int64_t layers_of_largest = 0;  // a model with so many blocks divides scores by sqrt(hidden / heads)
};

/// The Hugging Face name of a tensor, or nothing when the checkpoint has no such tensor ("rope_freqs.weight",
/// which is computed). Names that are not known come back as they are.
std::optional<std::string> tensor_name(const Json& metadata, std::string_view name);

/// llama.cpp's name of a tensor that Hugging Face calls `name` ("model.layers.0.mlp.up_proj.weight"); nothing
/// where it has none.
std::optional<std::string> stored_name(const StoredArchitecture& architecture, std::string_view name);

/// A weight that is one of a stack, [experts, out, in], of which Hugging Face has a tensor for each expert.
struct StackedExpert {
  std::string stack;  // "blk.0.ffn_up_exps.weight"
  std::int64_t expert = 0;
};

/// Nothing for names that are not of an expert.
std::optional<StackedExpert> stacked_expert(const StoredArchitecture& architecture, std::string_view name);

/// The Hugging Face names of so many experts in a stack; empty when `stored_name` is none.
std::vector<std::string> names_of_experts(const Json& metadata, std::string_view stored_name,
                                          std::int64_t experts);

/// Whether a tensor holds 1 + w in place of a norm's weight w.
bool holds_factors(const StoredArchitecture& architecture, std::string_view stored_name);
bool holds_factors(const Json& metadata, std::string_view stored_name);

/// Nothing for a model_type that cannot be written.
std::optional<StoredArchitecture> stored_architecture(std::string_view model_type);

/// The model_types that can be written.
std::vector<std::string_view> stored_model_types();

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
