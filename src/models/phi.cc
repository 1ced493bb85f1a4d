// Phi 1, 1.5, 2: both branches after one norm, a partial rotation, biases everywhere.
#include "models/families.h"
#include "models/parts.h"
#include "models/rope_config.h"

namespace farthing::models {
namespace {

nn::BlockSpec phi_layer(const Config& config, std::int64_t hidden_size) {
  const HeadCounts heads = head_counts(config, hidden_size, 32);
  const std::int64_t width = config.size("intermediate_size", 8192);
  const double eps = config.number("layer_norm_eps", 1e-5);
  nn::BlockSpec block{
      .class_name = "PhiDecoderLayer",
      .residual = nn::Residual::kParallel,
      .attention_norm = layer_norm("input_layernorm", hidden_size, eps),
      .attention = {.name = "self_attn",
                    .class_name = "PhiAttention",
                    .num_heads = heads.num_heads,
                    .num_key_value_heads = heads.num_key_value_heads,
                    .head_dim = heads.head_dim,
                    .inputs = {{"q_proj", hidden_size, heads.query_width(), true},
                               {"k_proj", hidden_size, heads.key_width(), true},
                               {"v_proj", hidden_size, heads.key_width(), true}},
                    .output = {"dense", heads.query_width(), hidden_size, true},
                    .rope = rope_config(config, heads.head_dim,
                                        {.partial_rotary_factor = 0.5, .max_position_embeddings = 2048})},
      .mlp = {.name = "mlp",
              .class_name = "PhiMLP",
              .activation = activation(config, "hidden_act", "gelu_new"),
              .up = {"fc1", hidden_size, width, true},
              .down = {"fc2", width, hidden_size, true}}};
  if (config.flag("qk_layernorm", false)) {
    block.attention.query_norm = layer_norm("q_layernorm", heads.head_dim, eps);
    block.attention.key_norm = layer_norm("k_layernorm", heads.head_dim, eps);
  }
  return block;
}

}  // namespace

nn::ModelSpec declare_phi(const Config& config) {
  const std::int64_t hidden_size = config.size("hidden_size", 2048);
  return text_model(
      config, "phi", "PhiForCausalLM",
      {.path = "model",
       .class_name = "PhiModel",
       .vocab_size = config.size("vocab_size", 51200),
       .hidden_size = hidden_size,
       .max_position_embeddings = config.size("max_position_embeddings", 2048),
       .blocks =
           std::vector<nn::BlockSpec>(static_cast<std::size_t>(config.num_layers("num_hidden_layers", 24)),
                                      phi_layer(config, hidden_size)),
       .final_norm = layer_norm("final_layernorm", hidden_size, config.number("layer_norm_eps", 1e-5)),
       .lm_head_bias = true,
       .tie_word_embeddings = config.flag("tie_word_embeddings", false)});
}

}  // namespace farthing::models
