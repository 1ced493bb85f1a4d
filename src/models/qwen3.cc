// Qwen 3: the Llama skeleton with norms of queries and keys per head.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_qwen3(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Qwen3",
                                                   .vocab_size = 151936,
                                                   .intermediate_size = 22016,
                                                   .head_dim = 128,
                                                   .max_position_embeddings = 32768});
  for (nn::BlockSpec& block : decoder.blocks) {
    add_head_norms(block, config.number("rms_norm_eps", 1e-6));
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
  }
  set_qwen_windows(config, decoder.blocks);
  return text_model(config, "qwen3", "Qwen3ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
