// Hunyuan, dense and with experts: the Llama skeleton with norms of queries and keys behind the rotation.
#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

// Their "dynamic" scaling with an alpha is a fixed one of the base.
Config with_fixed_base(const Config& config) {
  constexpr std::string_view kKeys[] = {"rope_parameters", "rope_scaling"};
  Json values = config.json();
  for (const std::string_view key : kKeys) {
    if (!config.has(key)) continue;
    const Config block = config.child(key);
    const bool alpha = block.has("alpha") && block.number("alpha") != 0.0;
    if (!alpha || block.text("rope_type", block.text("type", "default")) != "dynamic") return config;
    Json& changed = values[std::string(key)];
    changed["rope_type"] = "ntk";
    changed["factor"] = block.number("alpha");
    return Config(std::move(values), config.origin());
  }
  return config;
}

nn::DecoderSpec hunyuan_decoder(const Config& config, std::string_view class_prefix) {
  nn::DecoderSpec decoder = llama_decoder(
      with_fixed_base(config), {.class_prefix = class_prefix, .vocab_size = 290943, .rms_norm_eps = 1e-5});
  for (nn::BlockSpec& block : decoder.blocks) {
    add_head_norms(block, config.number("rms_norm_eps", 1e-5));
    block.attention.query_norm.name = "query_layernorm";
    block.attention.key_norm.name = "key_layernorm";
    block.attention.norm_after_rotation = true;
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
  }
  return decoder;
}

// A number for all layers, or a list of the same number.
Config with_one_top_k(const Config& config) {
  constexpr std::string_view kKey = "moe_topk";
  if (!config.has(kKey) || !config.json()[kKey].is_array()) return config;
  const std::vector<std::int64_t> list = config.integers(kKey, {});
  config.require(!list.empty() && std::equal(list.begin() + 1, list.end(), list.begin()), kKey,
                 "layers that send a token to different numbers of experts are not known");
  Json values = config.json();
  values[std::string(kKey)] = list.front();
  return Config(std::move(values), config.origin());
}

}  // namespace

nn::ModelSpec declare_hunyuan_v1_dense(const Config& config) {
  return text_model(config, "hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM",
                    hunyuan_decoder(config, "HunYuanDenseV1"));
}

nn::ModelSpec declare_hunyuan_v1_moe(const Config& file) {
  const Config config = with_one_top_k(file);
  nn::DecoderSpec decoder = hunyuan_decoder(config, "HunYuanMoEV1");
  for (nn::BlockSpec& block : decoder.blocks) {
    block.moe = mixture(config, "mlp", "HunYuanMoEV1Moe", block.mlp,
                        config.spelling({"num_experts", "num_local_experts"}), 1, 1,
                        config.spelling({"moe_topk", "num_experts_per_tok"}));
    block.moe->router.name = "gate.wg";
    block.moe->shared_expert = block.mlp;
    block.moe->shared_expert->name = "shared_mlp";
  }
  nn::ModelSpec model = text_model(config, "hunyuan_v1_moe", "HunYuanMoEV1ForCausalLM", std::move(decoder));
  model.default_ignore.push_back("re:.*mlp.gate.wg$");
  return model;
}

}  // namespace farthing::models
