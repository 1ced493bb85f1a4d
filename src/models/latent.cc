#include "models/latent.h"

#include <cmath>

#include "models/parts.h"

namespace farthing::models {
namespace {

// The norms of latents do not follow rms_norm_eps.
constexpr double kLatentEps = 1e-6;

// Scores of a stretched rotation are scaled once more (YaRN's mscale, on queries and keys).
float scale_of(std::int64_t head_dim, const nn::RopeSpec& rope) {
  double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  if (rope.mscale_all_dim && rope.factor > 1.0) {
    const double mscale = 0.1 * *rope.mscale_all_dim * std::log(rope.factor) + 1.0;
    scale *= mscale * mscale;
  }
  return static_cast<float>(scale);
}

}  // namespace

nn::AttentionSpec latent_attention(const Config& config, std::string class_name, std::int64_t hidden_size,
                                   const LatentDefaults& defaults) {
  const std::int64_t num_heads = config.size("num_attention_heads", defaults.num_attention_heads);
  const std::int64_t rank = config.size("kv_lora_rank", defaults.kv_lora_rank);
  const std::int64_t plain = config.size("qk_nope_head_dim", defaults.qk_nope_head_dim);
  const std::int64_t rotated = config.size("qk_rope_head_dim", defaults.qk_rope_head_dim);
  const std::int64_t value = config.size("v_head_dim", defaults.v_head_dim);
  const std::int64_t head_dim = plain + rotated;
  const bool bias = config.flag("attention_bias", false);

  nn::LatentSpec latent{.rank = rank,
                        .plain_dim = plain,
                        .key_value_norm = rms_norm("kv_a_layernorm", rank, kLatentEps),
                        .key_value = {"kv_b_proj", rank, num_heads * (plain + value)}};
  nn::LinearSpec query{"q_proj", hidden_size, num_heads * head_dim};
  if (config.has("q_lora_rank") || !config.mentions("q_lora_rank")) {
    const std::int64_t query_rank = config.size("q_lora_rank", defaults.q_lora_rank);
    query = {"q_a_proj", hidden_size, query_rank, bias};
    latent.query_norm = rms_norm("q_a_layernorm", query_rank, kLatentEps);
    latent.query = nn::LinearSpec{"q_b_proj", query_rank, num_heads * head_dim};
  }
  nn::RopeSpec rope = rope_config(config, rotated, defaults.rope);
  rope.style = nn::RotaryStyle::kNeighbours;
  const float scale = scale_of(head_dim, rope);
  return {.name = "self_attn",
          .class_name = std::move(class_name),
          .num_heads = num_heads,
          .num_key_value_heads = num_heads,
          .head_dim = head_dim,
          .inputs = {std::move(query), {"kv_a_proj_with_mqa", hidden_size, rank + rotated, bias}},
          .output = {"o_proj", num_heads * value, hidden_size, bias},
          .latent = std::move(latent),
          .value_head_dim = value,
          .rope = std::move(rope),
          .scale = scale};
}

}  // namespace farthing::models
