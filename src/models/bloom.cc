// Bloom: ALiBi instead of positions, fused q, k, v head by head, a norm after the embedding.
#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::BlockSpec block(const Config& config, std::int64_t hidden_size) {
  const std::string_view heads_key = config.spelling({"n_head", "num_attention_heads"});
  const std::int64_t num_heads = config.size(heads_key, 8);
  const HeadCounts heads = checked_heads(config, heads_key, hidden_size, {num_heads, num_heads, 0});
  const double eps = config.number("layer_norm_epsilon", 1e-5);
  return {.class_name = "BloomBlock",
          .residual = config.flag("apply_residual_connection_post_layernorm", false) ? nn::Residual::kNormed
                                                                                     : nn::Residual::kPreNorm,
          .attention_norm = layer_norm("input_layernorm", hidden_size, eps),
          .attention = {.name = "self_attention",
                        .class_name = "BloomAttention",
                        .num_heads = heads.num_heads,
                        .num_key_value_heads = heads.num_heads,
                        .head_dim = heads.head_dim,
                        .layout = nn::QkvLayout::kPerHead,
                        .inputs = {{"query_key_value", hidden_size, 3 * hidden_size, true}},
                        .output = {"dense", hidden_size, hidden_size, true},
                        .alibi_scale = 1.0f},
          .mlp_norm = layer_norm("post_attention_layernorm", hidden_size, eps),
          .mlp = {.name = "mlp",
                  .class_name = "BloomMLP",
                  .activation = nn::Activation::kGeluTanh,
                  .up = {"dense_h_to_4h", hidden_size, 4 * hidden_size, true},
                  .down = {"dense_4h_to_h", 4 * hidden_size, hidden_size, true}}};
}

}  // namespace

nn::ModelSpec declare_bloom(const Config& config) {
  const std::int64_t hidden_size = config.size(config.spelling({"n_embed", "hidden_size"}), 64);
  const std::int64_t num_layers = config.num_layers(config.spelling({"n_layer", "num_hidden_layers"}), 2);
  const double eps = config.number("layer_norm_epsilon", 1e-5);
  nn::ModelSpec model = text_model(
      config, "bloom", "BloomForCausalLM",
      {.path = "transformer",
       .class_name = "BloomModel",
       .vocab_size = config.size("vocab_size", 250880),
       .hidden_size = hidden_size,
       .embed_tokens = "word_embeddings",
       .embedding_norm = layer_norm("word_embeddings_layernorm", hidden_size, eps),
       .layers = "h",
       .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(num_layers), block(config, hidden_size)),
       .final_norm = layer_norm("ln_f", hidden_size, eps),
       .tie_word_embeddings = config.flag("tie_word_embeddings", true)});
  model.names = {{"transformer.", "transformer."}, {"lm_head", "lm_head"}, {"", "transformer."}};
  return model;
}

}  // namespace farthing::models
