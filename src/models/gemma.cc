// Gemma 1: the Llama skeleton with a scaled embedding, norms stored as the distance from 1 and tanh GELU.
#include <cmath>

#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_gemma(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Gemma",
                                                   .vocab_size = 256000,
                                                   .hidden_size = 3072,
                                                   .intermediate_size = 24576,
                                                   .num_hidden_layers = 28,
                                                   .num_attention_heads = 16,
                                                   .num_key_value_heads = 16,
                                                   .head_dim = 256,
                                                   .max_position_embeddings = 8192,
                                                   .tie_word_embeddings = true,
                                                   .activation = "gelu_pytorch_tanh",
                                                   .norm_weight_offset = 1.0f});
  config.require(!config.flag("use_bidirectional_attention", false), "use_bidirectional_attention",
                 "decoders that look both ways are not supported");
  decoder.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(decoder.hidden_size)));
  decoder.round_embedding_scale = true;
  if (config.flag("attention_bias", false))
    for (nn::BlockSpec& block : decoder.blocks) add_attention_bias(block, true);
  return text_model(config, "gemma", "GemmaForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
