// Qwen 1.5 and 2 MoE: Qwen 2's attention, experts, and a shared expert behind a gate of its own.
#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::MoeSpec qwen2_moe_experts(const Config& config, std::int64_t hidden_size, nn::Activation activation) {
  nn::MoeSpec moe = mixture(
      config, "mlp", "Qwen2MoeSparseMoeBlock",
      gated_mlp("", "Qwen2MoeMLP", activation, hidden_size, config.size("moe_intermediate_size", 1408)),
      config.spelling({"num_experts", "num_local_experts"}), 60, 4);
  moe.normalize_top_k = config.flag("norm_topk_prob", false);
  moe.shared_expert = gated_mlp("shared_expert", "Qwen2MoeMLP", activation, hidden_size,
                                config.size("shared_expert_intermediate_size", 5632));
  moe.shared_expert_gate = nn::LinearSpec{"shared_expert_gate", hidden_size, 1};
  return moe;
}

}  // namespace

nn::ModelSpec declare_qwen2_moe(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Qwen2Moe",
                                                   .vocab_size = 151936,
                                                   .hidden_size = 2048,
                                                   .intermediate_size = 5632,
                                                   .num_hidden_layers = 24,
                                                   .num_attention_heads = 16,
                                                   .num_key_value_heads = 16,
                                                   .max_position_embeddings = 32768});
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::BlockSpec& block = decoder.blocks[i];
    if (config.flag("qkv_bias", true)) add_attention_bias(block, false);
    if (is_sparse(config, static_cast<std::int64_t>(i)))
      block.moe = qwen2_moe_experts(config, decoder.hidden_size, block.mlp.activation);
  }
  set_qwen_windows(config, decoder.blocks);
  nn::ModelSpec model = text_model(config, "qwen2_moe", "Qwen2MoeForCausalLM", std::move(decoder));
  model.default_ignore.insert(model.default_ignore.end(), {"re:.*mlp.gate$", "re:.*mlp.shared_expert_gate$"});
  return model;
}

}  // namespace farthing::models
