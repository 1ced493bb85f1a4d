// Llama 1, 2, 3; Vicuna, TinyLlama, SmolLM2: LlamaForCausalLM.
#include "models/llama.h"

#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::AttentionSpec llama_attention(const Config& config, const LlamaDefaults& defaults,
                                  std::int64_t hidden_size) {
  const HeadCounts heads = head_counts(config, hidden_size, defaults.num_attention_heads,
                                       defaults.num_key_value_heads, defaults.head_dim);
  RopeDefaults rope = defaults.rope;
  rope.max_position_embeddings = defaults.max_position_embeddings;
  return {.name = "self_attn",
          .class_name = std::string(defaults.class_prefix) + "Attention",
          .num_heads = heads.num_heads,
          .num_key_value_heads = heads.num_key_value_heads,
          .head_dim = heads.head_dim,
          .inputs = {{"q_proj", hidden_size, heads.query_width()},
                     {"k_proj", hidden_size, heads.key_width()},
                     {"v_proj", hidden_size, heads.key_width()}},
          .output = {"o_proj", heads.query_width(), hidden_size},
          .rope = rope_config(config, heads.head_dim, rope)};
}

}  // namespace

nn::DecoderSpec llama_decoder(const Config& config, const LlamaDefaults& defaults) {
  const std::int64_t hidden_size = config.size("hidden_size", defaults.hidden_size);
  const double eps = config.number("rms_norm_eps", defaults.rms_norm_eps);
  const nn::BlockSpec block{
      .class_name = std::string(defaults.class_prefix) + "DecoderLayer",
      .attention_norm = rms_norm("input_layernorm", hidden_size, eps, defaults.norm_weight_offset),
      .attention = llama_attention(config, defaults, hidden_size),
      .mlp_norm = rms_norm("post_attention_layernorm", hidden_size, eps, defaults.norm_weight_offset),
      .mlp = gated_mlp("mlp", std::string(defaults.class_prefix) + "MLP",
                       activation(config, defaults.activation_key, defaults.activation), hidden_size,
                       config.size("intermediate_size", defaults.intermediate_size))};
  const std::int64_t num_layers = config.num_layers("num_hidden_layers", defaults.num_hidden_layers);
  return {.path = "model",
          .class_name = std::string(defaults.class_prefix) + "Model",
          .vocab_size = config.size("vocab_size", defaults.vocab_size),
          .hidden_size = hidden_size,
          .max_position_embeddings = config.size("max_position_embeddings", defaults.max_position_embeddings),
          .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(num_layers), block),
          .final_norm = rms_norm("norm", hidden_size, eps, defaults.norm_weight_offset),
          .tie_word_embeddings = config.flag("tie_word_embeddings", defaults.tie_word_embeddings)};
}

void add_attention_bias(nn::BlockSpec& block, bool output) {
  for (nn::LinearSpec& input : block.attention.inputs) input.bias = true;
  block.attention.output.bias = output;
}

void set_mlp_bias(nn::MlpSpec& mlp, bool bias) {
  if (mlp.gate) mlp.gate->bias = bias;
  mlp.up.bias = mlp.down.bias = bias;
}

void move_norms_behind(nn::BlockSpec& block, std::int64_t hidden_size, double eps) {
  block.attention_norm = block.mlp_norm = {};
  block.attention_output_norm = rms_norm("post_attention_layernorm", hidden_size, eps);
  block.mlp_output_norm = rms_norm("post_feedforward_layernorm", hidden_size, eps);
}

void add_projection_norms(nn::BlockSpec& block, double eps) {
  nn::AttentionSpec& attention = block.attention;
  attention.query_norm = rms_norm("q_norm", attention.num_heads * attention.head_dim, eps);
  attention.key_norm = rms_norm("k_norm", attention.key_width(), eps);
}

void add_head_norms(nn::BlockSpec& block, double eps, float weight_offset) {
  block.attention.query_norm = rms_norm("q_norm", block.attention.head_dim, eps, weight_offset);
  block.attention.key_norm = rms_norm("k_norm", block.attention.head_dim, eps, weight_offset);
}

nn::ModelSpec declare_llama(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Llama"});
  for (nn::BlockSpec& block : decoder.blocks) {
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
    set_mlp_bias(block.mlp, config.flag("mlp_bias", false));
  }
  return text_model(config, "llama", "LlamaForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
