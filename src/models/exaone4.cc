// EXAONE 4: norms behind the branches, norms of queries and keys per head, and, in some, layers with a window
// that rotate between layers without both.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

// "LLLG" is old for every fourth.
std::int64_t period_of(const Config& config) {
  constexpr std::string_view kKey = "sliding_window_pattern";
  if (!config.has(kKey)) return 4;
  if (!config.json()[kKey].is_string()) return config.size(kKey);
  const std::string pattern = config.text(kKey, "");
  config.require(!pattern.empty(), kKey, "the pattern of layers is empty");
  return static_cast<std::int64_t>(pattern.size());
}

}  // namespace

nn::ModelSpec declare_exaone4(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Exaone4",
                                                   .vocab_size = 102400,
                                                   .intermediate_size = 16384,
                                                   .num_key_value_heads = 32,
                                                   .rms_norm_eps = 1e-5});
  const double eps = config.number("rms_norm_eps", 1e-5);
  const std::int64_t window = sliding_window(config, 4096);
  const std::int64_t period = window == 0 ? 1 : period_of(config);
  const std::vector<bool> sliding =
      sliding_layers(config, static_cast<std::int64_t>(decoder.blocks.size()),
                     [&](std::int64_t layer) { return (layer + 1) % period != 0; });
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::BlockSpec& block = decoder.blocks[i];
    move_norms_behind(block, decoder.hidden_size, eps);
    add_head_norms(block, eps);
    if (sliding[i]) block.attention.sliding_window = window;
    if (!sliding[i] && window != 0) block.attention.rope.reset();
  }
  return text_model(config, "exaone4", "Exaone4ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
