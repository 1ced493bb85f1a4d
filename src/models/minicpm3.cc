// MiniCPM 3: DeepSeek's latent attention that rotates halves, and factors on embedding, branches and logits.
#include <cmath>

#include "models/families.h"
#include "models/latent.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_minicpm3(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "MiniCPM3",
                                                   .vocab_size = 73448,
                                                   .hidden_size = 2560,
                                                   .intermediate_size = 6400,
                                                   .num_hidden_layers = 62,
                                                   .num_attention_heads = 40,
                                                   .num_key_value_heads = 40,
                                                   .max_position_embeddings = 32768,
                                                   .rms_norm_eps = 1e-5,
                                                   .tie_word_embeddings = true});
  const std::int64_t num_heads = config.size("num_attention_heads", 40);
  nn::AttentionSpec attention = latent_attention(config, "MiniCPM3Attention", decoder.hidden_size,
                                                 {.num_attention_heads = num_heads,
                                                  .kv_lora_rank = 256,
                                                  .q_lora_rank = 768,
                                                  .qk_nope_head_dim = 64,
                                                  .qk_rope_head_dim = 32,
                                                  .v_head_dim = decoder.hidden_size / num_heads,
                                                  .rope = {.max_position_embeddings = 32768}});
  attention.rope->style = nn::RotaryStyle::kHalves;
  const double depth = std::sqrt(static_cast<double>(decoder.blocks.size()));
  const bool scales = config.has("scale_depth") || !config.mentions("scale_depth");
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention = attention;
    set_mlp_bias(block.mlp, config.flag("mlp_bias", false));
    if (scales) block.residual_scale = static_cast<float>(config.number("scale_depth", 1.4) / depth);
  }
  decoder.embedding_scale = static_cast<float>(config.number("scale_emb", 12.0));
  const bool has_base = config.has("dim_model_base") || !config.mentions("dim_model_base");
  if (has_base)
    decoder.logit_scale =
        static_cast<float>(config.number("dim_model_base", 256.0) / static_cast<double>(decoder.hidden_size));
  return text_model(config, "minicpm3", "MiniCPM3ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
