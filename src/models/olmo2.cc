// OLMo 2: the Llama skeleton with norms behind the branches instead of before them, and norms of queries and
// keys over all heads at once. OLMo 3: three layers with a window to one without, whose rotation is
// stretched.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::DecoderSpec olmo2_decoder(const Config& config, std::string_view class_prefix, double theta) {
  nn::DecoderSpec decoder = llama_decoder(
      config,
      {.class_prefix = class_prefix, .vocab_size = 50304, .rms_norm_eps = 1e-5, .rope = {.theta = theta}});
  const double eps = config.number("rms_norm_eps", 1e-5);
  for (nn::BlockSpec& block : decoder.blocks) {
    move_norms_behind(block, decoder.hidden_size, eps);
    add_projection_norms(block, eps);
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
  }
  return decoder;
}

}  // namespace

nn::ModelSpec declare_olmo2(const Config& config) {
  return text_model(config, "olmo2", "Olmo2ForCausalLM", olmo2_decoder(config, "Olmo2", 10000.0));
}

nn::ModelSpec declare_olmo3(const Config& config) {
  constexpr double kTheta = 500000.0;
  nn::DecoderSpec decoder = olmo2_decoder(config, "Olmo3", kTheta);
  const std::vector<bool> sliding = sliding_layers(config, static_cast<std::int64_t>(decoder.blocks.size()),
                                                   [](std::int64_t layer) { return (layer + 1) % 4 != 0; });
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::AttentionSpec& attention = decoder.blocks[i].attention;
    if (!sliding[i]) continue;
    attention.sliding_window = sliding_window(config, 4096);
    attention.rope = rope_config(config, attention.head_dim,
                                 {.theta = kTheta, .theta_key = "rope_local_base_freq", .scaled = false},
                                 "sliding_attention");
  }
  return text_model(config, "olmo3", "Olmo3ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
