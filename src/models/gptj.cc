// GPT-J: both branches after one LayerNorm, a part of each head rotated in neighbouring pairs, a head with
// bias.
#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::BlockSpec gptj_block(const Config& config, std::int64_t hidden_size) {
  const std::int64_t num_heads = config.size("n_head", 16);
  const HeadCounts heads = checked_heads(config, "n_head", hidden_size, {num_heads, num_heads, 0});
  const std::int64_t width = config.size("n_inner", 4 * hidden_size);
  const std::int64_t rotary_dim = config.size("rotary_dim", 64);
  config.require(rotary_dim % 2 == 0 && rotary_dim <= heads.head_dim, "rotary_dim",
                 "the rotated part of a head should be an even number of elements within it");
  return {
      .class_name = "GPTJBlock",
      .residual = nn::Residual::kParallel,
      .attention_norm = layer_norm("ln_1", hidden_size, config.number("layer_norm_epsilon", 1e-5)),
      .attention = {.name = "attn",
                    .class_name = "GPTJAttention",
                    .num_heads = heads.num_heads,
                    .num_key_value_heads = heads.num_heads,
                    .head_dim = heads.head_dim,
                    .inputs = {{"q_proj", hidden_size, hidden_size},
                               {"k_proj", hidden_size, hidden_size},
                               {"v_proj", hidden_size, hidden_size}},
                    .output = {"out_proj", hidden_size, hidden_size},
                    .rope = nn::RopeSpec{.rotary_dim = rotary_dim, .style = nn::RotaryStyle::kNeighbours}},
      .mlp = {.name = "mlp",
              .class_name = "GPTJMLP",
              .activation = activation(config, "activation_function", "gelu_new"),
              .up = {"fc_in", hidden_size, width, true},
              .down = {"fc_out", width, hidden_size, true}}};
}

}  // namespace

nn::ModelSpec declare_gptj(const Config& config) {
  const std::int64_t hidden_size = config.size("n_embd", 4096);
  const std::int64_t num_layers = config.num_layers("n_layer", 28);
  return text_model(config, "gptj", "GPTJForCausalLM",
                    {.path = "transformer",
                     .class_name = "GPTJModel",
                     .vocab_size = config.size("vocab_size", 50400),
                     .hidden_size = hidden_size,
                     .max_position_embeddings = config.size("n_positions", 2048),
                     .embed_tokens = "wte",
                     .layers = "h",
                     .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(num_layers),
                                                          gptj_block(config, hidden_size)),
                     .final_norm = layer_norm("ln_f", hidden_size, config.number("layer_norm_epsilon", 1e-5)),
                     .lm_head_bias = true,
                     .tie_word_embeddings = config.flag("tie_word_embeddings", false)});
}

}  // namespace farthing::models
