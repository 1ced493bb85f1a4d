// Mistral, Mistral-Nemo: the Llama skeleton with a sliding window; Ministral: in some of its layers;
// Ministral 3: a stretched rotation, and queries that grow behind the length it was made for.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"
#include "models/rope_config.h"

namespace farthing::models {

nn::ModelSpec declare_mistral(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Mistral",
                                                   .intermediate_size = 14336,
                                                   .num_key_value_heads = 8,
                                                   .max_position_embeddings = 131072});
  for (nn::BlockSpec& block : decoder.blocks) block.attention.sliding_window = sliding_window(config, 4096);
  return text_model(config, "mistral", "MistralForCausalLM", std::move(decoder));
}

nn::ModelSpec declare_ministral(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Ministral",
                                                   .intermediate_size = 14336,
                                                   .num_key_value_heads = 8,
                                                   .max_position_embeddings = 131072});
  const std::int64_t window = sliding_window(config, 4096);
  const std::vector<bool> sliding = sliding_layers(config, static_cast<std::int64_t>(decoder.blocks.size()),
                                                   [&](std::int64_t) { return window != 0; });
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i)
    if (sliding[i]) decoder.blocks[i].attention.sliding_window = window;
  return text_model(config, "ministral", "MinistralForCausalLM", std::move(decoder));
}

nn::ModelSpec declare_ministral3(const Config& file) {
  const Config config = with_default_scaling(file, {{"rope_type", "yarn"},
                                                    {"rope_theta", 1e6},
                                                    {"factor", 16.0},
                                                    {"original_max_position_embeddings", 16384},
                                                    {"mscale", 1.0},
                                                    {"mscale_all_dim", 1.0},
                                                    {"llama_4_scaling_beta", 0.1}});
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Ministral3",
                                                   .vocab_size = 131072,
                                                   .intermediate_size = 14336,
                                                   .num_hidden_layers = 34,
                                                   .num_key_value_heads = 8,
                                                   .head_dim = 128,
                                                   .max_position_embeddings = 262144,
                                                   .rms_norm_eps = 1e-5});
  const Config rope = config.child(config.spelling({"rope_parameters", "rope_scaling"}));
  const double beta = rope.number("llama_4_scaling_beta", 0.0);
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention.sliding_window = sliding_window(config, 0);
    if (beta == 0.0) continue;
    const auto length = static_cast<double>(rope.size("original_max_position_embeddings"));
    block.attention.query_growth = nn::QueryGrowth{.scale = beta, .length = length, .offset = 0.0};
  }
  return text_model(config, "ministral3", "Ministral3ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
