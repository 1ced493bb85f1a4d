// The attention of DeepSeek-V2 and those that took it over: queries, keys and values through narrow latents.
#pragma once

#include <string>

#include "models/config.h"
#include "models/rope_config.h"
#include "nn/declaration.h"

namespace farthing::models {

struct LatentDefaults {
  std::int64_t num_attention_heads = 128;
  std::int64_t kv_lora_rank = 512;
  std::int64_t q_lora_rank = 1536;
  std::int64_t qk_nope_head_dim = 128, qk_rope_head_dim = 64, v_head_dim = 128;
  RopeDefaults rope;
};

/// Declares "self_attn" by the keys of DeepseekV3Config, where q_lora_rank may be null. Pairs of neighbours
/// are rotated.
nn::AttentionSpec latent_attention(const Config& config, std::string class_name, std::int64_t hidden_size,
                                   const LatentDefaults& defaults);

}  // namespace farthing::models
