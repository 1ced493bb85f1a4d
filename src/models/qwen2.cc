// Qwen 2, Qwen 2.5: the Llama skeleton with biases on q, k and v.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_qwen2(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Qwen2",
                                                   .vocab_size = 151936,
                                                   .intermediate_size = 22016,
                                                   .max_position_embeddings = 32768});
  for (nn::BlockSpec& block : decoder.blocks) add_attention_bias(block, false);
  set_qwen_windows(config, decoder.blocks);
  return text_model(config, "qwen2", "Qwen2ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
