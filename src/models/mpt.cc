// MPT: ALiBi instead of positions, fused q, k, v, no biases, not even in the norms.
#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

// The reference computes these variants differently or not at all.
void check_attention(const Config& attention) {
  attention.require(!attention.flag("qk_ln", false), "qk_ln", "norms of queries and keys are not supported");
  attention.require(attention.flag("alibi", true), "alibi", "MPT without ALiBi is not supported");
  attention.require(attention.integer("alibi_bias_max", 8) == 8, "alibi_bias_max",
                    "ALiBi with other slopes is not supported");
}

nn::BlockSpec block(const Config& config, std::int64_t hidden_size, double eps) {
  const std::int64_t num_heads = config.size("n_heads", 16);
  const HeadCounts heads = checked_heads(config, "n_heads", hidden_size, {num_heads, num_heads, 0});
  const Config attention = config.child("attn_config");
  check_attention(attention);
  return {.class_name = "MptBlock",
          .attention_norm = layer_norm("norm_1", hidden_size, eps, /*bias=*/false),
          .attention = {.name = "attn",
                        .class_name = "MptAttention",
                        .num_heads = heads.num_heads,
                        .num_key_value_heads = heads.num_heads,
                        .head_dim = heads.head_dim,
                        .layout = nn::QkvLayout::kConcatenated,
                        .inputs = {{"Wqkv", hidden_size, 3 * hidden_size}},
                        .output = {"out_proj", hidden_size, hidden_size},
                        .projection_limit = static_cast<float>(attention.number("clip_qkv", 0.0)),
                        .scale = static_cast<float>(attention.number("softmax_scale", 0.0)),
                        .alibi_scale = 1.0f},
          .mlp_norm = layer_norm("norm_2", hidden_size, eps, /*bias=*/false),
          .mlp = {.name = "ffn",
                  .class_name = "MptMLP",
                  .activation = nn::Activation::kGelu,
                  .up = {"up_proj", hidden_size, 4 * hidden_size},
                  .down = {"down_proj", 4 * hidden_size, hidden_size}}};
}

}  // namespace

nn::ModelSpec declare_mpt(const Config& config) {
  const std::int64_t hidden_size = config.size("d_model", 2048);
  const double eps = config.number("layer_norm_epsilon", 1e-5);
  const std::int64_t num_layers = config.num_layers("n_layers", 24);
  return text_model(config, "mpt", "MptForCausalLM",
                    {.path = "transformer",
                     .class_name = "MptModel",
                     .vocab_size = config.size("vocab_size", 50368),
                     .hidden_size = hidden_size,
                     .max_position_embeddings = config.size("max_seq_len", 2048),
                     .embed_tokens = "wte",
                     .layers = "blocks",
                     .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(num_layers),
                                                          block(config, hidden_size, eps)),
                     .final_norm = layer_norm("norm_f", hidden_size, eps, /*bias=*/false),
                     .tie_word_embeddings = config.flag("tie_word_embeddings", true)});
}

}  // namespace farthing::models
