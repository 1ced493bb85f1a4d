// GLM 4.5 and dots.llm1: the Llama skeleton with DeepSeek-V3's choice of experts.
#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

void set_experts(const Config& config, nn::DecoderSpec& decoder, const DeepseekMoeDefaults& defaults,
                 std::int64_t first_sparse) {
  const std::int64_t first = config.integer("first_k_dense_replace", first_sparse);
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i)
    if (static_cast<std::int64_t>(i) >= first)
      decoder.blocks[i].moe = deepseek_v3_mixture(config, decoder.blocks[i].mlp, defaults);
}

}  // namespace

nn::ModelSpec declare_glm4_moe(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Glm4Moe",
                                                   .vocab_size = 151552,
                                                   .intermediate_size = 10944,
                                                   .num_hidden_layers = 46,
                                                   .num_attention_heads = 96,
                                                   .num_key_value_heads = 8,
                                                   .max_position_embeddings = 131072,
                                                   .rms_norm_eps = 1e-5,
                                                   .rope = {.partial_rotary_factor = 0.5}});
  for (nn::BlockSpec& block : decoder.blocks) {
    if (config.flag("attention_bias", false)) add_attention_bias(block, false);
    if (config.flag("use_qk_norm", false)) add_head_norms(block, config.number("rms_norm_eps", 1e-5));
  }
  set_experts(config, decoder,
              {.class_name = "Glm4MoeMoE",
               .expert_class_name = "Glm4MoeMLP",
               .n_routed_experts = 128,
               .moe_intermediate_size = 1408},
              1);
  nn::ModelSpec model = text_model(config, "glm4_moe", "Glm4MoeForCausalLM", std::move(decoder));
  model.default_ignore.push_back("re:.*mlp.gate$");
  ignore_further_layers(config, model);
  return model;
}

nn::ModelSpec declare_dots1(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Dots1",
                                                   .vocab_size = 152064,
                                                   .hidden_size = 4608,
                                                   .intermediate_size = 10944,
                                                   .num_hidden_layers = 62,
                                                   .num_key_value_heads = 32});
  const std::int64_t first = config.integer("max_window_layers", 62);
  const std::int64_t window = sliding_window(config, 4096);
  const std::vector<bool> sliding =
      sliding_layers(config, static_cast<std::int64_t>(decoder.blocks.size()),
                     [&](std::int64_t layer) { return window != 0 && layer >= first; });
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::BlockSpec& block = decoder.blocks[i];
    add_head_norms(block, config.number("rms_norm_eps", 1e-6));
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
    if (sliding[i]) block.attention.sliding_window = window;
  }
  set_experts(config, decoder,
              {.class_name = "Dots1MoE",
               .expert_class_name = "Dots1MLP",
               .n_routed_experts = 128,
               .num_experts_per_tok = 6,
               .moe_intermediate_size = 1408,
               .n_shared_experts = 0,
               .norm_topk_prob = false},
              0);
  nn::ModelSpec model = text_model(config, "dots1", "Dots1ForCausalLM", std::move(decoder));
  model.default_ignore.push_back("re:.*mlp.gate$");
  return model;
}

}  // namespace farthing::models
