// Falcon: 7B (one key-value head, one norm for both branches), 40B and 180B (grouped heads, a norm for each),
// and the RW models (ALiBi, one branch after the other).
#include <cmath>

#include "models/families.h"
#include "models/parts.h"
#include "models/rope_config.h"

namespace farthing::models {
namespace {

nn::AttentionSpec falcon_attention(const Config& config, std::int64_t hidden_size) {
  const bool grouped = config.flag("new_decoder_architecture", false);
  const bool one_key_value_head = !grouped && config.flag("multi_query", true);
  const std::string_view heads_key = config.spelling({"num_attention_heads", "n_head"});
  const std::int64_t num_heads = config.size(heads_key, 71);
  std::int64_t num_key_value_heads = one_key_value_head ? 1 : num_heads;
  if (grouped) num_key_value_heads = config.size("num_kv_heads", num_heads);
  const HeadCounts heads = checked_heads(config, heads_key, hidden_size, {num_heads, num_key_value_heads, 0});
  const bool bias = config.flag("bias", false);
  nn::AttentionSpec attention{
      .name = "self_attention",
      .class_name = "FalconAttention",
      .num_heads = heads.num_heads,
      .num_key_value_heads = heads.num_key_value_heads,
      .head_dim = heads.head_dim,
      .layout = grouped              ? nn::QkvLayout::kPerGroup
                : one_key_value_head ? nn::QkvLayout::kConcatenated
                                     : nn::QkvLayout::kPerHead,
      .inputs = {{"query_key_value", hidden_size, heads.query_width() + 2 * heads.key_width(), bias}},
      .output = {"dense", hidden_size, hidden_size, bias}};
  if (config.flag("alibi", false)) {
    attention.alibi_scale =
        1.0f / std::sqrt(static_cast<float>(heads.head_dim));  // added before the scores are scaled
  } else {
    attention.rope = rope_config(config, heads.head_dim, {.max_position_embeddings = 2048});
  }
  return attention;
}

void set_norms(const Config& config, std::int64_t hidden_size, nn::BlockSpec& block) {
  const double eps = config.number("layer_norm_epsilon", 1e-5);
  const bool grouped = config.flag("new_decoder_architecture", false);
  if (!grouped && !config.flag("parallel_attn", true)) {
    block.attention_norm = layer_norm("input_layernorm", hidden_size, eps);
    block.mlp_norm = layer_norm("post_attention_layernorm", hidden_size, eps);
    return;
  }
  block.residual = nn::Residual::kParallel;
  if (grouped && config.integer("num_ln_in_parallel_attn", 2) == 2) {
    block.attention_norm = layer_norm("ln_attn", hidden_size, eps);
    block.mlp_norm = layer_norm("ln_mlp", hidden_size, eps);
  } else {
    block.attention_norm = layer_norm("input_layernorm", hidden_size, eps);
  }
}

}  // namespace

nn::ModelSpec declare_falcon(const Config& config) {
  const std::int64_t hidden_size = config.size("hidden_size", 4544);
  const std::int64_t width = config.size("ffn_hidden_size", 4 * hidden_size);
  const bool bias = config.flag("bias", false);
  nn::BlockSpec block{.class_name = "FalconDecoderLayer",
                      .attention = falcon_attention(config, hidden_size),
                      .mlp = {.name = "mlp",
                              .class_name = "FalconMLP",
                              .activation = activation(config, "activation", "gelu"),
                              .up = {"dense_h_to_4h", hidden_size, width, bias},
                              .down = {"dense_4h_to_h", width, hidden_size, bias}}};
  set_norms(config, hidden_size, block);
  const std::int64_t num_layers = config.num_layers(config.spelling({"num_hidden_layers", "n_layer"}), 32);
  return text_model(config, "falcon", "FalconForCausalLM",
                    {.path = "transformer",
                     .class_name = "FalconModel",
                     .vocab_size = config.size("vocab_size", 65024),
                     .hidden_size = hidden_size,
                     .max_position_embeddings = config.size("max_position_embeddings", 2048),
                     .embed_tokens = "word_embeddings",
                     .layers = "h",
                     .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(num_layers), block),
                     .final_norm = layer_norm("ln_f", hidden_size, config.number("layer_norm_epsilon", 1e-5)),
                     .tie_word_embeddings = config.flag("tie_word_embeddings", true)});
}

}  // namespace farthing::models
