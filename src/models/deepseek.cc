// DeepSeek-V2 and -V3, GLM 4.7 Flash: latent attention, dense layers first, then experts beside shared ones,
// chosen within the best groups.
#include <algorithm>

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
                               const Mixture& mixture, LatentDefaults latent = {}) {
  nn::DecoderSpec decoder = llama_decoder(config, defaults);
  latent.num_attention_heads = defaults.num_attention_heads;
  latent.rope.max_position_embeddings = defaults.max_position_embeddings;
  const nn::AttentionSpec attention =
      latent_attention(config, std::string(defaults.class_prefix) + "Attention", decoder.hidden_size, latent);
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

// Dense layers are listed by name; by default the first one only.
std::int64_t num_dense_layers(const Config& config) {
  constexpr std::string_view kKey = "mlp_layer_types";
  if (!config.has(kKey)) return 1;
  const Json& types = config.json()[kKey];
  config.require(types.is_array(), kKey, "mlp_layer_types should be a list of kinds of layers");
  const auto first = std::find(types.begin(), types.end(), "sparse");
  config.require(std::find(first, types.end(), "dense") == types.end(), kKey,
                 "dense layers behind sparse ones are not known");
  return first - types.begin();
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

nn::ModelSpec declare_glm4_moe_lite(const Config& config) {
  nn::DecoderSpec decoder =
      latent_decoder(config,
                     {.class_prefix = "Glm4MoeLite",
                      .vocab_size = 154880,
                      .hidden_size = 2048,
                      .intermediate_size = 10240,
                      .num_hidden_layers = 47,
                      .num_attention_heads = 20,
                      .head_dim = 64,
                      .max_position_embeddings = 202752,
                      .rms_norm_eps = 1e-5},
                     num_dense_layers(config),
                     [&](const nn::MlpSpec& dense) {
                       return deepseek_v3_mixture(config, dense,
                                                  {.class_name = "Glm4MoeLiteMoE",
                                                   .expert_class_name = "Glm4MoeLiteMLP",
                                                   .n_routed_experts = 64,
                                                   .num_experts_per_tok = 4,
                                                   .moe_intermediate_size = 1536,
                                                   .routed_scaling_factor = 1.8});
                     },
                     {.q_lora_rank = 768, .qk_nope_head_dim = 192, .v_head_dim = 256});
  if (!config.flag("rope_interleave", true))
    for (nn::BlockSpec& block : decoder.blocks) block.attention.rope->style = nn::RotaryStyle::kHalves;
  return deepseek_model(config, "glm4_moe_lite", "Glm4MoeLiteForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
