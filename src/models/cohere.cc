// Cohere Command-R: both branches after one LayerNorm without bias, neighbouring pairs rotated, scaled
// logits.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_cohere(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Cohere",
                                                   .vocab_size = 256000,
                                                   .hidden_size = 8192,
                                                   .intermediate_size = 22528,
                                                   .num_hidden_layers = 40,
                                                   .num_attention_heads = 64,
                                                   .max_position_embeddings = 8192,
                                                   .tie_word_embeddings = true});
  const double eps = config.number("layer_norm_eps", 1e-5);
  const auto norm = [&](std::string name, std::int64_t size) {
    return layer_norm(std::move(name), size, eps, /*bias=*/false);
  };
  for (nn::BlockSpec& block : decoder.blocks) {
    nn::AttentionSpec& attention = block.attention;
    block.residual = nn::Residual::kParallel;
    block.attention_norm = norm("input_layernorm", decoder.hidden_size);
    block.mlp_norm = {};
    attention.rope->style = nn::RotaryStyle::kNeighbours;
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
    if (!config.flag("use_qk_norm", false)) continue;
    attention.query_norm = norm("q_norm", attention.head_dim);
    attention.key_norm = norm("k_norm", attention.head_dim);
    attention.norm_per_head_weight = true;
  }
  decoder.final_norm = norm("norm", decoder.hidden_size);
  decoder.logit_scale = static_cast<float>(config.number("logit_scale", 0.0625));
  return text_model(config, "cohere", "CohereForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
