// StarCoder 2: rotary attention with grouped heads, LayerNorm, an MLP without gate, biases everywhere.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_starcoder2(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Starcoder2",
                                                   .vocab_size = 49152,
                                                   .hidden_size = 3072,
                                                   .intermediate_size = 12288,
                                                   .num_hidden_layers = 30,
                                                   .num_attention_heads = 24,
                                                   .num_key_value_heads = 2,
                                                   .max_position_embeddings = 4096,
                                                   .tie_word_embeddings = true,
                                                   .activation = "gelu_pytorch_tanh"});
  const bool bias = config.flag("use_bias", true);
  const double eps = config.number("norm_epsilon", 1e-5);
  const std::int64_t hidden_size = decoder.hidden_size;
  for (nn::BlockSpec& block : decoder.blocks) {
    const std::int64_t width = block.mlp.up.out_features;
    block.attention_norm = layer_norm("input_layernorm", hidden_size, eps);
    block.mlp_norm = layer_norm("post_attention_layernorm", hidden_size, eps);
    block.attention.sliding_window = sliding_window(config, 0);
    if (bias) add_attention_bias(block, true);
    block.mlp.gate.reset();
    block.mlp.up = {"c_fc", hidden_size, width, bias};
    block.mlp.down = {"c_proj", width, hidden_size, bias};
  }
  decoder.final_norm = layer_norm("norm", hidden_size, eps);
  return text_model(config, "starcoder2", "Starcoder2ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
