// DeepSeek-V2 and -V3: latent attention, dense layers first, then experts beside shared ones, chosen within
// the best groups.
#include "models/families.h"
#include "models/latent.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

// The Llama skeleton with latent attention; the layers from the `first_sparse`th on get a mixture.
template <typename Mixture>
nn::DecoderSpec latent_decoder(const Config& config, const LlamaDefaults& defaults, std::int64_t first_sparse,
                               const Mixture& mixture) {
  nn::DecoderSpec decoder = llama_decoder(config, defaults);
  const nn::AttentionSpec attention =
      latent_attention(config, std::string(defaults.class_prefix) + "Attention", decoder.hidden_size,
                       {.num_attention_heads = defaults.num_attention_heads,
                        .rope = {.max_position_embeddings = defaults.max_position_embeddings}});
  const std::int64_t first = config.integer("first_k_dense_replace", first_sparse);
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::BlockSpec& block = decoder.blocks[i];
    block.attention = attention;
    set_mlp_bias(block.mlp, config.flag("mlp_bias", false));
    if (static_cast<std::int64_t>(i) >= first) block.moe = mixture(block.mlp);
  }
  return decoder;
}

nn::ModelSpec deepseek_model(const Config& config, std::string family, std::string architecture,
                             nn::DecoderSpec decoder) {
  nn::ModelSpec model = text_model(config, std::move(family), std::move(architecture), std::move(decoder));
  model.default_ignore.push_back("re:.*mlp.gate$");
  ignore_further_layers(config, model);
  return model;
}

}  // namespace

nn::ModelSpec declare_deepseek_v2(const Config& config) {
  nn::DecoderSpec decoder = latent_decoder(config, {.class_prefix = "DeepseekV2", .vocab_size = 102400}, 0,
                                           [&](const nn::MlpSpec& dense) {
                                             return deepseek_v2_mixture(config, dense,
                                                                        {.class_name = "DeepseekV2Moe",
                                                                         .expert_class_name = "DeepseekV2MLP",
                                                                         .n_routed_experts = 64,
                                                                         .num_experts_per_tok = 6,
                                                                         .moe_intermediate_size = 1407,
                                                                         .n_shared_experts = 2});
                                           });
  return deepseek_model(config, "deepseek_v2", "DeepseekV2ForCausalLM", std::move(decoder));
}

nn::ModelSpec declare_deepseek_v3(const Config& config) {
  nn::DecoderSpec decoder = latent_decoder(config,
                                           {.class_prefix = "DeepseekV3",
                                            .vocab_size = 129280,
                                            .hidden_size = 7168,
                                            .intermediate_size = 18432,
                                            .num_hidden_layers = 61,
                                            .num_attention_heads = 128,
                                            .max_position_embeddings = 4096},
                                           3, [&](const nn::MlpSpec& dense) {
                                             return deepseek_v3_mixture(config, dense,
                                                                        {.class_name = "DeepseekV3MoE",
                                                                         .expert_class_name = "DeepseekV3MLP",
                                                                         .n_group = 8,
                                                                         .topk_group = 4,
                                                                         .routed_scaling_factor = 2.5});
                                           });
  if (!config.flag("rope_interleave", true))
    for (nn::BlockSpec& block : decoder.blocks) block.attention.rope->style = nn::RotaryStyle::kHalves;
  return deepseek_model(config, "deepseek_v3", "DeepseekV3ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
