// Gemma 3, the text decoder: norms of queries and keys, five layers with a window to one without, two
// rotations.
#include "models/families.h"
#include "models/gemma.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_gemma3_text(const Config& config) {
  nn::DecoderSpec decoder = gemma_decoder(config,
                                          {.class_prefix = "Gemma3",
                                           .vocab_size = 262208,
                                           .hidden_size = 2304,
                                           .intermediate_size = 9216,
                                           .num_hidden_layers = 26,
                                           .num_attention_heads = 8,
                                           .num_key_value_heads = 4,
                                           .head_dim = 256,
                                           .max_position_embeddings = 131072,
                                           .rope = {.theta = 1e6}},
                                          /*attention_softcap=*/0.0, /*logit_softcap=*/0.0);
  decoder.class_name = "Gemma3TextModel";
  const std::int64_t period =
      config.size(config.spelling({"sliding_window_pattern", "_sliding_window_pattern"}), 6);
  const std::vector<bool> sliding =
      sliding_layers(config, static_cast<std::int64_t>(decoder.blocks.size()),
                     [&](std::int64_t layer) { return (layer + 1) % period != 0; });
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::AttentionSpec& attention = decoder.blocks[i].attention;
    add_head_norms(decoder.blocks[i], config.number("rms_norm_eps", 1e-6), /*weight_offset=*/1.0f);
    if (!sliding[i]) continue;
    attention.sliding_window = sliding_window(config, 4096);
    attention.rope = rope_config(config, attention.head_dim,
                                 {.theta_key = "rope_local_base_freq", .scaled = false}, "sliding_attention");
  }
  return text_model(config, "gemma3_text", "Gemma3ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
