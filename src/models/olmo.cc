// OLMo 1: the Llama skeleton with LayerNorm that learns nothing, and q, k, v cut off. OLMoE: RMSNorm, norms
// of queries and keys over all heads, and a mixture of experts.
#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

float projection_limit(const Config& config) {
  const double limit = config.number("clip_qkv", 0.0);
  config.require(limit >= 0.0, "clip_qkv", "the limit of queries, keys and values is negative");
  return static_cast<float>(limit);
}

}  // namespace

nn::ModelSpec declare_olmo(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Olmo", .vocab_size = 50304});
  nn::NormSpec norm = layer_norm("input_layernorm", decoder.hidden_size, 1e-5, /*bias=*/false);
  norm.weight = false;
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention_norm = block.mlp_norm = norm;
    block.attention.projection_limit = projection_limit(config);
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
  }
  decoder.final_norm = norm;
  return text_model(config, "olmo", "OlmoForCausalLM", std::move(decoder));
}

nn::ModelSpec declare_olmoe(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Olmoe",
                                                   .vocab_size = 50304,
                                                   .hidden_size = 2048,
                                                   .intermediate_size = 2048,
                                                   .num_hidden_layers = 16,
                                                   .num_attention_heads = 16,
                                                   .max_position_embeddings = 4096,
                                                   .rms_norm_eps = 1e-5});
  for (nn::BlockSpec& block : decoder.blocks) {
    add_projection_norms(block, config.number("rms_norm_eps", 1e-5));
    block.attention.projection_limit = projection_limit(config);
    block.attention.sliding_window = sliding_window(config, 0);
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
    block.moe = mixture(config, "mlp", "OlmoeSparseMoeBlock", block.mlp,
                        config.spelling({"num_experts", "num_local_experts"}), 64, 8);
    block.moe->normalize_top_k = config.flag("norm_topk_prob", false);
  }
  nn::ModelSpec model = text_model(config, "olmoe", "OlmoeForCausalLM", std::move(decoder));
  model.default_ignore.push_back("re:.*mlp.gate$");
  return model;
}

}  // namespace farthing::models
