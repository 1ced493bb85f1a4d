// Seed-OSS: the Llama skeleton with biases on queries, keys and values.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_seed_oss(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "SeedOss",
                                                   .vocab_size = 155136,
                                                   .intermediate_size = 27648,
                                                   .num_hidden_layers = 64,
                                                   .num_attention_heads = 80,
                                                   .num_key_value_heads = 8,
                                                   .head_dim = 128,
                                                   .max_position_embeddings = 524288});
  for (nn::BlockSpec& block : decoder.blocks) {
    if (config.flag("attention_bias", true)) add_attention_bias(block, false);
    block.attention.output.bias = config.flag("attention_out_bias", false);
    set_mlp_bias(block.mlp, config.flag("mlp_bias", false));
  }
  return text_model(config, "seed_oss", "SeedOssForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
