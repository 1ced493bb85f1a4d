// ERNIE 4.5: the Llama skeleton that rotates neighbouring pairs; in the second kind, a mixture of experts
// that are chosen with a bias of their own.
#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::DecoderSpec ernie_decoder(const Config& config, const LlamaDefaults& defaults) {
  nn::DecoderSpec decoder = llama_decoder(config, defaults);
  const bool bias = config.flag("use_bias", false);
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention.rope->style = nn::RotaryStyle::kNeighbours;
    if (bias) add_attention_bias(block, true);
    set_mlp_bias(block.mlp, bias);
  }
  return decoder;
}

nn::MoeSpec ernie4_5_experts(const Config& config, const nn::MlpSpec& dense) {
  const std::int64_t hidden_size = dense.up.in_features;
  const std::int64_t width = config.size("moe_intermediate_size", 1536);
  nn::MoeSpec moe = mixture(config, "mlp", "Ernie4_5_MoeSparseMoeBlock",
                            gated_mlp("", "Ernie4_5_MoeMLP", dense.activation, hidden_size, width),
                            config.spelling({"moe_num_experts", "num_experts"}), 64, 6,
                            config.spelling({"moe_k", "num_experts_per_tok"}));
  moe.choice_bias = "moe_statics.e_score_correction_bias";
  moe.choice_bias_shape = {1, moe.num_experts};
  const std::int64_t shared = config.integer("moe_num_shared_experts", 2);
  if (shared <= 0) return moe;
  moe.shared_expert =
      gated_mlp("shared_experts", "Ernie4_5_MoeMLP", dense.activation, hidden_size, width * shared);
  set_mlp_bias(*moe.shared_expert, dense.up.bias);
  return moe;
}

}  // namespace

nn::ModelSpec declare_ernie4_5(const Config& config) {
  return text_model(config, "ernie4_5", "Ernie4_5ForCausalLM",
                    ernie_decoder(config, {.class_prefix = "Ernie4_5",
                                           .vocab_size = 103424,
                                           .hidden_size = 1024,
                                           .intermediate_size = 3072,
                                           .num_hidden_layers = 18,
                                           .num_attention_heads = 16,
                                           .num_key_value_heads = 2,
                                           .head_dim = 128,
                                           .max_position_embeddings = 131072,
                                           .rms_norm_eps = 1e-5,
                                           .tie_word_embeddings = true,
                                           .rope = {.theta = 500000.0}}));
}

nn::ModelSpec declare_ernie4_5_moe(const Config& config) {
  nn::DecoderSpec decoder = ernie_decoder(config, {.class_prefix = "Ernie4_5_Moe",
                                                   .vocab_size = 103424,
                                                   .hidden_size = 2560,
                                                   .intermediate_size = 12288,
                                                   .num_hidden_layers = 28,
                                                   .num_attention_heads = 20,
                                                   .num_key_value_heads = 4,
                                                   .max_position_embeddings = 131072,
                                                   .rms_norm_eps = 1e-5,
                                                   .tie_word_embeddings = true,
                                                   .rope = {.theta = 500000.0}});
  decoder.lm_head_bias = config.flag("use_bias", false);
  const auto num_layers = static_cast<std::int64_t>(decoder.blocks.size());
  const std::int64_t first = config.integer("moe_layer_start_index", 1);
  const std::int64_t end = config.integer("moe_layer_end_index", -1);
  const std::int64_t last = end < 0 ? num_layers + end : end;
  for (std::int64_t i = 0; i < num_layers; ++i) {
    nn::BlockSpec& block = decoder.blocks[static_cast<std::size_t>(i)];
    if (i >= first && i <= last && (i + 1) % config.size("moe_layer_interval", 1) == 0)
      block.moe = ernie4_5_experts(config, block.mlp);
  }
  nn::ModelSpec model = text_model(config, "ernie4_5_moe", "Ernie4_5_MoeForCausalLM", std::move(decoder));
  model.default_ignore.push_back("re:.*mlp.gate$");
  model.ignored_tensors.emplace_back(R"(model\.mtp.*)");  // layers that predict further tokens
  return model;
}

}  // namespace farthing::models
