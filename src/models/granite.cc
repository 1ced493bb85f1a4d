// Granite 3: the Llama skeleton with factors on embedding, scores, branches and logits.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_granite(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Granite"});
  const double logits_scaling = config.number("logits_scaling", 1.0);
  config.require(logits_scaling > 0.0, "logits_scaling", "the divisor of the logits should be positive");
  decoder.embedding_scale = static_cast<float>(config.number("embedding_multiplier", 1.0));
  decoder.logit_scale = static_cast<float>(1.0 / logits_scaling);
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention.scale = static_cast<float>(config.number("attention_multiplier", 1.0));
    block.residual_scale = static_cast<float>(config.number("residual_multiplier", 1.0));
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
    set_mlp_bias(block.mlp, config.flag("mlp_bias", false));
  }
  return text_model(config, "granite", "GraniteForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
