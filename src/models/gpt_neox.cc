// GPT-NeoX, Pythia: fused q, k, v head by head, a partial rotation, both branches at once.
#include "models/families.h"
#include "models/parts.h"
#include "models/rope_config.h"

namespace farthing::models {
namespace {

nn::BlockSpec layer(const Config& config, std::int64_t hidden_size) {
  const std::int64_t num_heads = config.size("num_attention_heads", 64);
  const HeadCounts heads =
      checked_heads(config, "num_attention_heads", hidden_size, {num_heads, num_heads, 0});
  const std::int64_t width = config.size("intermediate_size", 24576);
  const double eps = config.number("layer_norm_eps", 1e-5);
  const bool bias = config.flag("attention_bias", true);
  return {.class_name = "GPTNeoXLayer",
          .residual =
              config.flag("use_parallel_residual", true) ? nn::Residual::kParallel : nn::Residual::kPreNorm,
          .attention_norm = layer_norm("input_layernorm", hidden_size, eps),
          .attention = {.name = "attention",
                        .class_name = "GPTNeoXAttention",
                        .num_heads = heads.num_heads,
                        .num_key_value_heads = heads.num_heads,
                        .head_dim = heads.head_dim,
                        .layout = nn::QkvLayout::kPerHead,
                        .inputs = {{"query_key_value", hidden_size, 3 * hidden_size, bias}},
                        .output = {"dense", hidden_size, hidden_size, bias},
                        .rope = rope_config(config, heads.head_dim,
                                            {.partial_rotary_factor = 0.25,
                                             .max_position_embeddings = 2048,
                                             .theta_key = "rotary_emb_base",
                                             .partial_key = "rotary_pct"})},
          .mlp_norm = layer_norm("post_attention_layernorm", hidden_size, eps),
          .mlp = {.name = "mlp",
                  .class_name = "GPTNeoXMLP",
                  .activation = activation(config, "hidden_act", "gelu"),
                  .up = {"dense_h_to_4h", hidden_size, width, true},
                  .down = {"dense_4h_to_h", width, hidden_size, true}}};
}

}  // namespace

nn::ModelSpec declare_gpt_neox(const Config& config) {
  const std::int64_t hidden_size = config.size("hidden_size", 6144);
  return text_model(
      config, "gpt_neox", "GPTNeoXForCausalLM",
      {.path = "gpt_neox",
       .class_name = "GPTNeoXModel",
       .vocab_size = config.size("vocab_size", 50432),
       .hidden_size = hidden_size,
       .max_position_embeddings = config.size("max_position_embeddings", 2048),
       .embed_tokens = "embed_in",
       .blocks = std::vector<nn::BlockSpec>(
           static_cast<std::size_t>(config.num_layers("num_hidden_layers", 44)), layer(config, hidden_size)),
       .final_norm = layer_norm("final_layer_norm", hidden_size, config.number("layer_norm_eps", 1e-5)),
       .lm_head = "embed_out",
       .tie_word_embeddings = config.flag("tie_word_embeddings", false)});
}

}  // namespace farthing::models
