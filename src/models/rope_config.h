// Rotary embedding as config.json spells it, in all its spellings.
#pragma once

#include <string_view>

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

/// What a family assumes, and the keys it uses, where the file has no `rope_parameters`.
struct RopeDefaults {
  double theta = 10000.0;
  double partial_rotary_factor = 1.0;
  std::int64_t max_position_embeddings = 0;
  std::string_view theta_key = "rope_theta";
  std::string_view partial_key = "partial_rotary_factor";
  bool scaled = true;  // false where the old keys' rope_scaling is for other layers (Gemma 3's sliding ones)
};

/// Reads `rope_parameters` (transformers 5; possibly one block per layer type), or `rope_theta` and
/// `rope_scaling` with `type` or `rope_type`. Throws kUnsupported for an unknown kind of scaling and
/// kCorruptData for nonsense values, naming the key.
nn::RopeSpec rope_config(const Config& config, std::int64_t head_dim, const RopeDefaults& defaults = {},
                         std::string_view layer_type = "full_attention");

/// `config`, with `scaling` under `rope_parameters` where the file says nothing about its rotation and the
/// class of the family stretches it all the same.
Config with_default_scaling(const Config& config, Json scaling);

}  // namespace farthing::models
