// Gemma 2: norms around both branches, soft-capped scores and logits, every other layer with a window.
#include <cmath>

#include "models/families.h"
#include "models/gemma.h"
#include "models/parts.h"

namespace farthing::models {

nn::DecoderSpec gemma_decoder(const Config& config, LlamaDefaults defaults, double attention_softcap,
                              double logit_softcap) {
  constexpr float kWeightOffset = 1.0f;  // files store the distance from 1
  defaults.tie_word_embeddings = true;
  defaults.activation_key = "hidden_activation";
  defaults.activation = "gelu_pytorch_tanh";
  defaults.norm_weight_offset = kWeightOffset;
  config.require(!config.flag("use_bidirectional_attention", false), "use_bidirectional_attention",
                 "decoders that look both ways are not supported");

  nn::DecoderSpec decoder = llama_decoder(config, defaults);
  decoder.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(decoder.hidden_size)));
  decoder.round_embedding_scale = true;
  decoder.logit_softcap = static_cast<float>(config.number_or_none("final_logit_softcapping", logit_softcap));
  const double query_scale = config.number("query_pre_attn_scalar", 256.0);
  config.require(query_scale > 0.0, "query_pre_attn_scalar", "the scale of queries should be positive");
  const double eps = config.number("rms_norm_eps", defaults.rms_norm_eps);
  const auto norm = [&](std::string name) {
    return rms_norm(std::move(name), decoder.hidden_size, eps, kWeightOffset);
  };
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention_output_norm = norm("post_attention_layernorm");
    block.mlp_norm = norm("pre_feedforward_layernorm");
    block.mlp_output_norm = norm("post_feedforward_layernorm");
    block.attention.scale = static_cast<float>(1.0 / std::sqrt(query_scale));
    block.attention.softcap =
        static_cast<float>(config.number_or_none("attn_logit_softcapping", attention_softcap));
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
  }
  return decoder;
}

nn::ModelSpec declare_gemma2(const Config& config) {
  nn::DecoderSpec decoder = gemma_decoder(config,
                                          {.class_prefix = "Gemma2",
                                           .vocab_size = 256000,
                                           .hidden_size = 2304,
                                           .intermediate_size = 9216,
                                           .num_hidden_layers = 26,
                                           .num_attention_heads = 8,
                                           .num_key_value_heads = 4,
                                           .head_dim = 256,
                                           .max_position_embeddings = 8192},
                                          /*attention_softcap=*/50.0, /*logit_softcap=*/30.0);
  const std::vector<bool> sliding = sliding_layers(config, static_cast<std::int64_t>(decoder.blocks.size()),
                                                   [](std::int64_t layer) { return layer % 2 == 0; });
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i)
    if (sliding[i]) decoder.blocks[i].attention.sliding_window = sliding_window(config, 4096);
  return text_model(config, "gemma2", "Gemma2ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
