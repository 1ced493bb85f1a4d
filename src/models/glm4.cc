// GLM 4: the Llama skeleton with gate and up in one matrix, half of each head rotated in neighbouring pairs,
// and, in the second kind, norms behind the branches too.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::DecoderSpec glm_decoder(const Config& config, std::string_view class_prefix) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = class_prefix,
                                                   .vocab_size = 151552,
                                                   .intermediate_size = 13696,
                                                   .num_hidden_layers = 40,
                                                   .num_key_value_heads = 2,
                                                   .head_dim = 128,
                                                   .max_position_embeddings = 131072,
                                                   .rms_norm_eps = 1.5625e-7,
                                                   .rope = {.partial_rotary_factor = 0.5}});
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention.rope->style = nn::RotaryStyle::kNeighbours;
    if (config.flag("attention_bias", true)) add_attention_bias(block, false);
    block.mlp.up = {"gate_up_proj", decoder.hidden_size, 2 * block.mlp.up.out_features};
    block.mlp.gate.reset();
    block.mlp.fused_gate_up = true;
  }
  return decoder;
}

}  // namespace

nn::ModelSpec declare_glm(const Config& config) {
  return text_model(config, "glm", "GlmForCausalLM", glm_decoder(config, "Glm"));
}

nn::ModelSpec declare_glm4(const Config& config) {
  nn::DecoderSpec decoder = glm_decoder(config, "Glm4");
  const double eps = config.number("rms_norm_eps", 1.5625e-7);
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention_output_norm = rms_norm("post_self_attn_layernorm", decoder.hidden_size, eps);
    block.mlp_output_norm = rms_norm("post_mlp_layernorm", decoder.hidden_size, eps);
  }
  return text_model(config, "glm4", "Glm4ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
