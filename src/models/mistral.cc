// Mistral, Mistral-Nemo: the Llama skeleton with a sliding window.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_mistral(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Mistral",
                                                   .intermediate_size = 14336,
                                                   .num_key_value_heads = 8,
                                                   .max_position_embeddings = 131072});
  for (nn::BlockSpec& block : decoder.blocks) block.attention.sliding_window = sliding_window(config, 4096);
  return text_model(config, "mistral", "MistralForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
