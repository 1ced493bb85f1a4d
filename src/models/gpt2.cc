// GPT-2: learned positions and fused q, k, v; weights stored [in, out].
#include <cmath>

#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::LinearSpec conv1d(std::string name, std::int64_t in, std::int64_t out) {
  return {std::move(name), in, out, /*bias=*/true, /*transposed=*/true};
}

nn::BlockSpec block(const Config& config, std::int64_t hidden_size, std::int64_t layer) {
  const std::string_view heads_key = config.spelling({"n_head", "num_attention_heads"});
  const std::int64_t num_heads = config.size(heads_key, 12);
  const HeadCounts heads = checked_heads(config, heads_key, hidden_size, {num_heads, num_heads, 0});
  const std::int64_t width = config.size("n_inner", 4 * hidden_size);
  const double eps = config.number("layer_norm_epsilon", 1e-5);
  double scale =
      config.flag("scale_attn_weights", true) ? 1.0 / std::sqrt(static_cast<double>(heads.head_dim)) : 1.0;
  if (config.flag("scale_attn_by_inverse_layer_idx", false)) scale /= static_cast<double>(layer + 1);
  return {.class_name = "GPT2Block",
          .attention_norm = layer_norm("ln_1", hidden_size, eps),
          .attention = {.name = "attn",
                        .class_name = "GPT2Attention",
                        .num_heads = heads.num_heads,
                        .num_key_value_heads = heads.num_heads,
                        .head_dim = heads.head_dim,
                        .layout = nn::QkvLayout::kConcatenated,
                        .inputs = {conv1d("c_attn", hidden_size, 3 * hidden_size)},
                        .output = conv1d("c_proj", hidden_size, hidden_size),
                        .scale = static_cast<float>(scale)},
          .mlp_norm = layer_norm("ln_2", hidden_size, eps),
          .mlp = {.name = "mlp",
                  .class_name = "GPT2MLP",
                  .activation = activation(config, "activation_function", "gelu_new"),
                  .up = conv1d("c_fc", hidden_size, width),
                  .down = conv1d("c_proj", width, hidden_size)}};
}

}  // namespace

nn::ModelSpec declare_gpt2(const Config& config) {
  const std::int64_t hidden_size = config.size(config.spelling({"n_embd", "hidden_size"}), 768);
  const std::int64_t num_layers = config.num_layers(config.spelling({"n_layer", "num_hidden_layers"}), 12);
  nn::DecoderSpec decoder{
      .path = "transformer",
      .class_name = "GPT2Model",
      .vocab_size = config.size("vocab_size", 50257),
      .hidden_size = hidden_size,
      .max_position_embeddings =
          config.size(config.spelling({"n_positions", "max_position_embeddings"}), 1024),
      .embed_tokens = "wte",
      .embed_positions = "wpe",
      .layers = "h",
      .final_norm = layer_norm("ln_f", hidden_size, config.number("layer_norm_epsilon", 1e-5)),
      .tie_word_embeddings = config.flag("tie_word_embeddings", true)};
  for (std::int64_t i = 0; i < num_layers; ++i) decoder.blocks.push_back(block(config, hidden_size, i));

  nn::ModelSpec model = text_model(config, "gpt2", "GPT2LMHeadModel", std::move(decoder));
  model.names = {{"transformer.", "transformer."}, {"lm_head", "lm_head"}, {"", "transformer."}};
  return model;
}

}  // namespace farthing::models
