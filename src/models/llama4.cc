// Llama 4: layers that see chunks of the text by rotated positions and, in between, layers that see all of it
// without rotation; a mixture of experts that scales what its experts read, beside a shared expert.
#include "models/llama4.h"

#include <algorithm>

#include "models/families.h"
#include "models/llama.h"
#include "models/llama4_vision.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

bool is_sparse_layer(const Config& config, std::int64_t layer) {
  if (config.has("moe_layers")) {
    const std::vector<std::int64_t> sparse = config.integers("moe_layers", {});
    return std::find(sparse.begin(), sparse.end(), layer) != sparse.end();
  }
  return (layer + 1) % config.size("interleave_moe_layer_step", 1) == 0;
}

// Old files say how long the interval is, or nothing at all, by an empty list.
bool llama4_rotates(const Config& config, std::size_t layer, std::size_t num_layers) {
  constexpr std::string_view kKey = "no_rope_layers";
  const std::vector<std::int64_t> list = config.integers(kKey, {});
  if (list.empty())
    return (static_cast<std::int64_t>(layer) + 1) % config.size("no_rope_layer_interval", 4) != 0;
  config.require(list.size() >= num_layers, kKey, "no_rope_layers does not name every layer");
  return list[layer] != 0;
}

bool is_chunked(const Config& config, std::size_t layer, std::size_t num_layers) {
  constexpr std::string_view kKey = "layer_types";
  if (!config.has(kKey)) return llama4_rotates(config, layer, num_layers);
  const Json& types = config.json()[kKey];
  config.require(types.is_array() && types.size() >= num_layers &&
                     (types[layer] == "chunked_attention" || types[layer] == "full_attention"),
                 kKey, "layer_types does not name every layer");
  return types[layer] == "chunked_attention";
}

// A boolean, or a number in the first released files.
bool tunes_temperature(const Config& config) {
  constexpr std::string_view kKey = "attn_temperature_tuning";
  if (config.has(kKey) && config.json()[kKey].is_number()) return config.number(kKey) != 0.0;
  return config.flag(kKey, true);
}

nn::MoeSpec llama4_experts(const Config& config, const nn::MlpSpec& dense) {
  nn::MlpSpec expert = gated_mlp("", "Llama4TextMLP", dense.activation, dense.up.in_features,
                                 config.size("intermediate_size", 8192));
  nn::MoeSpec moe = mixture(config, "feed_forward", "Llama4TextMoe", std::move(expert),
                            config.spelling({"num_local_experts", "num_experts"}), 16, 1);
  moe.router.name = "router";
  moe.score = nn::RouterScore::kSigmoid;
  moe.normalize_top_k = false;
  moe.scales_inputs = true;
  moe.fused.transposed = true;
  moe.shared_expert = moe.expert;
  moe.shared_expert->name = "shared_expert";
  return moe;
}

void set_attention(const Config& config, std::size_t layer, std::size_t num_layers, nn::BlockSpec& block) {
  nn::AttentionSpec& attention = block.attention;
  attention.rope->style = nn::RotaryStyle::kNeighbours;
  if (config.flag("attention_bias", false)) add_attention_bias(block, true);
  if (is_chunked(config, layer, num_layers)) attention.chunk = config.size("attention_chunk_size", 8192);
  if (!llama4_rotates(config, layer, num_layers)) {
    attention.rope.reset();
    if (tunes_temperature(config))
      attention.query_growth = nn::QueryGrowth{.scale = config.number("attn_scale", 0.1),
                                               .length = config.number("floor_scale", 8192.0),
                                               .offset = 1.0};
    return;
  }
  if (!config.flag("use_qk_norm", true)) return;
  attention.query_norm = rms_norm("qk_norm", attention.head_dim, config.number("rms_norm_eps", 1e-5));
  attention.query_norm.weight = false;
  attention.key_norm = attention.query_norm;
  attention.norm_after_rotation = true;
}

}  // namespace

nn::DecoderSpec llama4_decoder(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Llama4Text",
                                                   .vocab_size = 202048,
                                                   .hidden_size = 5120,
                                                   .intermediate_size = 8192,
                                                   .num_hidden_layers = 48,
                                                   .num_attention_heads = 40,
                                                   .num_key_value_heads = 8,
                                                   .head_dim = 128,
                                                   .max_position_embeddings = 131072,
                                                   .rms_norm_eps = 1e-5,
                                                   .rope = {.theta = 500000.0}});
  const double length = config.number("floor_scale", 8192.0);
  config.require(length > 0.0, "floor_scale", "the length of a step should be positive");
  const std::size_t num_layers = decoder.blocks.size();
  for (std::size_t i = 0; i < num_layers; ++i) {
    nn::BlockSpec& block = decoder.blocks[i];
    set_attention(config, i, num_layers, block);
    block.mlp = gated_mlp("feed_forward", "Llama4TextMLP", block.mlp.activation, decoder.hidden_size,
                          config.size("intermediate_size_mlp", 16384));
    if (is_sparse_layer(config, static_cast<std::int64_t>(i))) block.moe = llama4_experts(config, block.mlp);
  }
  return decoder;
}

nn::ModelSpec declare_llama4_text(const Config& config) {
  nn::ModelSpec model = text_model(config, "llama4_text", "Llama4ForCausalLM", llama4_decoder(config));
  model.default_ignore.push_back("re:.*router");
  return model;
}

nn::ModelSpec declare_llama4(const Config& config) {
  nn::DecoderSpec decoder = composite_decoder(config, "llama4_text", "language_model.model");
  decoder.lm_head = "language_model.lm_head";
  nn::ModelSpec model = text_model(config, "llama4", "Llama4ForConditionalGeneration", std::move(decoder));
  model.default_ignore = {"re:.*lm_head", "re:.*router", "re:vision_model.*", "re:multi_modal_projector.*"};
  add_llama4_vision(config, model);
  return model;
}

}  // namespace farthing::models
