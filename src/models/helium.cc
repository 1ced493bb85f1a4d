// Helium: the Llama skeleton that rotates neighbouring pairs.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_helium(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Helium",
                                                   .vocab_size = 48000,
                                                   .hidden_size = 2560,
                                                   .intermediate_size = 7040,
                                                   .num_hidden_layers = 24,
                                                   .num_attention_heads = 20,
                                                   .num_key_value_heads = 20,
                                                   .head_dim = 128,
                                                   .max_position_embeddings = 4096,
                                                   .rms_norm_eps = 1e-8,
                                                   .rope = {.theta = 100000.0}});
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention.rope->style = nn::RotaryStyle::kNeighbours;
    if (config.flag("attention_bias", false)) add_attention_bias(block, false);
    set_mlp_bias(block.mlp, config.flag("mlp_bias", false));
  }
  return text_model(config, "helium", "HeliumForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
