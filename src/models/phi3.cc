// Phi 3, Phi 4-mini: the Llama skeleton with q, k, v in one matrix and gate, up in another.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_phi3(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Phi3",
                                                   .vocab_size = 32064,
                                                   .hidden_size = 3072,
                                                   .intermediate_size = 8192,
                                                   .max_position_embeddings = 4096,
                                                   .rms_norm_eps = 1e-5});
  for (nn::BlockSpec& block : decoder.blocks) {
    nn::AttentionSpec& attention = block.attention;
    const std::int64_t heads = attention.num_heads + 2 * attention.num_key_value_heads;
    attention.layout = nn::QkvLayout::kConcatenated;
    attention.inputs = {{"qkv_proj", decoder.hidden_size, heads * attention.head_dim}};
    attention.sliding_window = sliding_window(config, 0);
    block.mlp.up = {"gate_up_proj", decoder.hidden_size, 2 * block.mlp.up.out_features};
    block.mlp.gate.reset();
    block.mlp.fused_gate_up = true;
  }
  return text_model(config, "phi3", "Phi3ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
