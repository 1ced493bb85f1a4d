// StableLM: the Llama skeleton with LayerNorm, a partial rotation and, in some, both branches after one norm.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_stablelm(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "StableLm",
                                                   .vocab_size = 50304,
                                                   .hidden_size = 2560,
                                                   .intermediate_size = 6912,
                                                   .num_key_value_heads = 32,
                                                   .max_position_embeddings = 4096,
                                                   .rope = {.partial_rotary_factor = 0.25}});
  const double eps = config.number("layer_norm_eps", 1e-5);
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention_norm = layer_norm("input_layernorm", decoder.hidden_size, eps);
    block.mlp_norm = layer_norm("post_attention_layernorm", decoder.hidden_size, eps);
    if (config.flag("use_qkv_bias", false)) add_attention_bias(block, false);
    if (config.flag("qk_layernorm", false)) {
      const std::int64_t head_dim = block.attention.head_dim;
      block.attention.query_norm = layer_norm("q_layernorm.norms", head_dim, eps, /*bias=*/false);
      block.attention.key_norm = layer_norm("k_layernorm.norms", head_dim, eps, /*bias=*/false);
      block.attention.head_norm_weights = nn::HeadNormWeights::kModules;
    }
    if (!config.flag("use_parallel_residual", false)) continue;
    block.residual = nn::Residual::kParallel;
    block.mlp_norm = {};
  }
  decoder.final_norm = layer_norm("norm", decoder.hidden_size, eps);
  return text_model(config, "stablelm", "StableLmForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
