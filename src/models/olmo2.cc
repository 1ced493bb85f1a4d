// OLMo 2: the Llama skeleton with norms behind the branches instead of before them, and norms of queries and
// keys over all heads at once.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_olmo2(const Config& config) {
  nn::DecoderSpec decoder =
      llama_decoder(config, {.class_prefix = "Olmo2", .vocab_size = 50304, .rms_norm_eps = 1e-5});
  const double eps = config.number("rms_norm_eps", 1e-5);
  for (nn::BlockSpec& block : decoder.blocks) {
    nn::AttentionSpec& attention = block.attention;
    block.attention_norm = block.mlp_norm = {};
    block.attention_output_norm = rms_norm("post_attention_layernorm", decoder.hidden_size, eps);
    block.mlp_output_norm = rms_norm("post_feedforward_layernorm", decoder.hidden_size, eps);
    attention.query_norm = rms_norm("q_norm", attention.num_heads * attention.head_dim, eps);
    attention.key_norm = rms_norm("k_norm", attention.num_key_value_heads * attention.head_dim, eps);
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
  }
  return text_model(config, "olmo2", "Olmo2ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
