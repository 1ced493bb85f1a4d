// Pieces that family files share: norms, activations, head counts and per-layer patterns, read from
// config.json.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

nn::NormSpec rms_norm(std::string name, std::int64_t size, double eps, float weight_offset = 0.0f);
nn::NormSpec layer_norm(std::string name, std::int64_t size, double eps, bool bias = true);

/// The activation that `key` names. Throws kUnsupported listing the known ones.
nn::Activation activation(const Config& config, std::string_view key, std::string_view fallback);

/// Attention heads, checked: keys and values divide the queries, and the head size is a whole number.
struct HeadCounts {
  std::int64_t num_heads, num_key_value_heads, head_dim;

  std::int64_t query_width() const { return num_heads * head_dim; }
  std::int64_t key_width() const { return num_key_value_heads * head_dim; }
};
/// Reads num_attention_heads, num_key_value_heads (0: as many) and head_dim (0: hidden_size / heads) with
/// their defaults.
HeadCounts head_counts(const Config& config, std::int64_t hidden_size, std::int64_t default_heads,
                       std::int64_t default_key_value_heads = 0, std::int64_t default_head_dim = 0);
/// The same for families whose keys have other names; throws like it.
HeadCounts checked_heads(const Config& config, std::string_view key, std::int64_t hidden_size,
                         HeadCounts counts);

/// "sliding_window": the default only where the key is missing; null and 0 mean none.
std::int64_t sliding_window(const Config& config, std::int64_t fallback);

/// Which layers slide: `layer_types` where the file has it, else `is_sliding(layer)`.
std::vector<bool> sliding_layers(const Config& config, std::int64_t num_layers,
                                 const std::function<bool(std::int64_t layer)>& is_sliding);

/// Sets the windows of Qwen's blocks by use_sliding_window, max_window_layers and layer_types.
void set_qwen_windows(const Config& config, std::vector<nn::BlockSpec>& blocks,
                      std::int64_t default_first = 28);

/// down(f(gate(x)) * up(x)) under Llama's names.
nn::MlpSpec gated_mlp(std::string name, std::string class_name, nn::Activation activation,
                      std::int64_t hidden_size, std::int64_t width);

/// A size that a file may give as a number or as a height and a width, which must be equal.
std::int64_t square_size(const Config& config, std::string_view key, std::int64_t fallback);

/// Throws kCorruptData unless the tower's picture, patches and channels fit together and stay far from
/// overflow.
void check_patches(const Config& config, const nn::VisionSpec& vision);

/// Regexes of what files hold beside the weights: buffers of old ones, scales of a quantized cache.
std::vector<std::string> buffers();

/// The text part of a composite model: its own block, or, in files of flat composites, the whole. The tie of
/// its head may be said outside of it.
nn::DecoderSpec composite_decoder(const Config& config, std::string_view default_model_type,
                                  std::string path = "model.language_model");

/// Spellings of the parts of most composites: files of transformers 4 (language_model.model.*), names in
/// memory, and towers with or without a `vision_model` level. `vision` and `projector` are names below
/// "model".
std::vector<nn::NameRule> composite_names(const std::string& vision, const std::string& projector);

/// What every text model starts from: family, architecture (from the file, else `default_architecture`),
/// leftovers, and the head as the only linear that quantize leaves alone.
nn::ModelSpec text_model(const Config& config, std::string family, std::string default_architecture,
                         nn::DecoderSpec decoder);

}  // namespace farthing::models
