// GPT-BigCode, StarCoder 1, SantaCoder: GPT-2 with one key-value head for all queries.
#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::AttentionSpec attention(const Config& config, std::int64_t hidden_size) {
  const std::string_view heads_key = config.spelling({"n_head", "num_attention_heads"});
  const std::int64_t num_heads = config.size(heads_key, 12);
  const bool one = config.flag("multi_query", true);
  const HeadCounts heads = checked_heads(config, heads_key, hidden_size, {num_heads, one ? 1 : num_heads, 0});
  return {.name = "attn",
          .class_name = "GPTBigCodeAttention",
          .num_heads = heads.num_heads,
          .num_key_value_heads = heads.num_key_value_heads,
          .head_dim = heads.head_dim,
          .layout = one ? nn::QkvLayout::kConcatenated : nn::QkvLayout::kPerHead,
          .inputs = {{"c_attn", hidden_size, hidden_size + 2 * heads.key_width(), true}},
          .output = {"c_proj", hidden_size, hidden_size, true},
          .scale = config.flag("scale_attn_weights", true) ? 0.0f : 1.0f};
}

}  // namespace

nn::ModelSpec declare_gpt_bigcode(const Config& config) {
  const std::int64_t hidden_size = config.size(config.spelling({"n_embd", "hidden_size"}), 768);
  const std::int64_t width = config.size("n_inner", 4 * hidden_size);
  const double eps = config.number("layer_norm_epsilon", 1e-5);
  config.require(!config.flag("add_cross_attention", false), "add_cross_attention",
                 "a decoder that reads an encoder is not known");
  const nn::BlockSpec block{
      .class_name = "GPTBigCodeBlock",
      .attention_norm = layer_norm("ln_1", hidden_size, eps),
      .attention = attention(config, hidden_size),
      .mlp_norm = layer_norm("ln_2", hidden_size, eps),
      .mlp = {.name = "mlp",
              .class_name = "GPTBigCodeMLP",
              .activation = activation(config, "activation_function", "gelu_pytorch_tanh"),
              .up = {"c_fc", hidden_size, width, true},
              .down = {"c_proj", width, hidden_size, true}}};
  const std::int64_t num_layers = config.num_layers(config.spelling({"n_layer", "num_hidden_layers"}), 12);
  return text_model(config, "gpt_bigcode", "GPTBigCodeForCausalLM",
                    {.path = "transformer",
                     .class_name = "GPTBigCodeModel",
                     .vocab_size = config.size("vocab_size", 50257),
                     .hidden_size = hidden_size,
                     .max_position_embeddings =
                         config.size(config.spelling({"n_positions", "max_position_embeddings"}), 1024),
                     .embed_tokens = "wte",
                     .embed_positions = "wpe",
                     .layers = "h",
                     .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(num_layers), block),
                     .final_norm = layer_norm("ln_f", hidden_size, eps),
                     .tie_word_embeddings = config.flag("tie_word_embeddings", true)});
}

}  // namespace farthing::models
