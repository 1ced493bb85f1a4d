// SmolLM 3: the Llama skeleton where every fourth layer has no rotation.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

// 1 for the layers that rotate, as `no_rope_layers` has it in spite of its name.
bool rotates(const Config& config, std::size_t layer, std::size_t num_layers) {
  constexpr std::string_view kKey = "no_rope_layers";
  if (!config.has(kKey))
    return (static_cast<std::int64_t>(layer) + 1) % config.size("no_rope_layer_interval", 4) != 0;
  const Json& layers = config.json()[kKey];
  config.require(layers.is_array() && layers.size() >= num_layers && layers[layer].is_number_integer(), kKey,
                 "no_rope_layers does not name every layer");
  return layers[layer].get<std::int64_t>() != 0;
}

}  // namespace

nn::ModelSpec declare_smollm3(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "SmolLM3",
                                                   .vocab_size = 128256,
                                                   .hidden_size = 2048,
                                                   .num_hidden_layers = 36,
                                                   .num_attention_heads = 16,
                                                   .num_key_value_heads = 4,
                                                   .max_position_embeddings = 32768,
                                                   .tie_word_embeddings = true,
                                                   .rope = {.theta = 2e6}});
  const std::int64_t window = config.flag("use_sliding_window", false) ? sliding_window(config, 0) : 0;
  const std::vector<bool> sliding =
      sliding_layers(config, static_cast<std::int64_t>(decoder.blocks.size()), [&](std::int64_t layer) {
        return !rotates(config, static_cast<std::size_t>(layer), decoder.blocks.size());
      });
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::BlockSpec& block = decoder.blocks[i];
    if (!rotates(config, i, decoder.blocks.size())) block.attention.rope.reset();
    if (sliding[i]) block.attention.sliding_window = window;
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
    set_mlp_bias(block.mlp, config.flag("mlp_bias", false));
  }
  return text_model(config, "smollm3", "SmolLM3ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
