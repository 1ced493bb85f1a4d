// Qwen 3 MoE: Qwen 3's attention and experts without a shared one.
#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_qwen3_moe(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Qwen3Moe",
                                                   .vocab_size = 151936,
                                                   .hidden_size = 2048,
                                                   .intermediate_size = 6144,
                                                   .num_hidden_layers = 24,
                                                   .num_key_value_heads = 4,
                                                   .max_position_embeddings = 32768});
  const std::int64_t window = config.flag("use_sliding_window", false) ? sliding_window(config, 4096) : 0;
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::BlockSpec& block = decoder.blocks[i];
    add_head_norms(block, config.number("rms_norm_eps", 1e-6));
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
    block.attention.sliding_window = window;
    if (!is_sparse(config, static_cast<std::int64_t>(i))) continue;
    block.moe = mixture(config, "mlp", "Qwen3MoeSparseMoeBlock",
                        gated_mlp("", "Qwen3MoeMLP", block.mlp.activation, decoder.hidden_size,
                                  config.size("moe_intermediate_size", 768)),
                        config.spelling({"num_experts", "num_local_experts"}), 128, 8);
    block.moe->normalize_top_k = config.flag("norm_topk_prob", false);
  }
  nn::ModelSpec model = text_model(config, "qwen3_moe", "Qwen3MoeForCausalLM", std::move(decoder));
  model.default_ignore.push_back("re:.*mlp.gate$");
  return model;
}

}  // namespace farthing::models
