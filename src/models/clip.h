// The CLIP vision tower, as LLaVA uses it, and SigLIP's, which is its sister without a class token.
#pragma once

#include <string>

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

/// Declares the tower that a `vision_config` describes at `path`. Features: every patch after the last layer,
/// and no class token.
nn::VisionSpec clip_tower(const Config& vision_config, std::string path);

/// What a SigLIP tower assumes about keys that the file leaves out.
struct SiglipDefaults {
  std::string class_prefix = "Siglip";
  std::string model_type = "siglip_vision_model";
  std::int64_t hidden_size = 768, num_attention_heads = 12, patch_size = 16;
};

/// The same for a SigLIP tower. Features: every patch after the last layer and the final norm.
nn::VisionSpec siglip_tower(const Config& vision_config, std::string path,
                            const SiglipDefaults& defaults = {});

}  // namespace farthing::models
