// Granite 3: the Llama skeleton with factors on embedding, scores, branches and logits; with experts, which
// files keep together, and perhaps an MLP for all tokens beside them.
#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::DecoderSpec granite_decoder(const Config& config, std::string_view class_prefix) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = class_prefix});
  const double logits_scaling = config.number("logits_scaling", 1.0);
  config.require(logits_scaling > 0.0, "logits_scaling", "the divisor of the logits should be positive");
  decoder.embedding_scale = static_cast<float>(config.number("embedding_multiplier", 1.0));
  decoder.logit_scale = static_cast<float>(1.0 / logits_scaling);
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention.scale = static_cast<float>(config.number("attention_multiplier", 1.0));
    block.residual_scale = static_cast<float>(config.number("residual_multiplier", 1.0));
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
    set_mlp_bias(block.mlp, config.flag("mlp_bias", false));
  }
  return decoder;
}

// "input_linear" has the gate's rows first. The mixture's parts are named from the block on, because the MLP
// for all tokens stands beside it.
nn::MoeSpec experts(const Config& config, const nn::MlpSpec& dense, const std::string& class_prefix) {
  nn::MoeSpec moe = mixture(config, "", class_prefix + "MoE", dense,
                            config.spelling({"num_local_experts", "num_experts"}), 8, 2);
  moe.router.name = "block_sparse_moe.router.layer";
  moe.experts_name = "block_sparse_moe.experts";
  moe.fused = {.gate_up = "block_sparse_moe.input_linear.weight",
               .down = "block_sparse_moe.output_linear.weight"};
  const std::int64_t width = config.integer("shared_intermediate_size", 0),
                     hidden_size = dense.up.in_features;
  if (width <= 0) return moe;
  moe.shared_expert = {.name = "shared_mlp",
                       .class_name = class_prefix + "MLP",
                       .activation = dense.activation,
                       .up = {"input_linear", hidden_size, 2 * width},
                       .down = {"output_linear", width, hidden_size},
                       .fused_gate_up = true};
  return moe;
}

nn::ModelSpec with_experts(const Config& config, const std::string& family, const std::string& class_prefix) {
  nn::DecoderSpec decoder = granite_decoder(config, class_prefix);
  for (nn::BlockSpec& block : decoder.blocks) {
    block.moe = experts(config, block.mlp, class_prefix);
    set_mlp_bias(block.moe->expert, false);
  }
  nn::ModelSpec model = text_model(config, family, class_prefix + "ForCausalLM", std::move(decoder));
  model.default_ignore.push_back("re:.*router.layer$");
  return model;
}

}  // namespace

nn::ModelSpec declare_granite(const Config& config) {
  nn::DecoderSpec decoder = granite_decoder(config, "Granite");
  return text_model(config, "granite", "GraniteForCausalLM", std::move(decoder));
}

nn::ModelSpec declare_granitemoe(const Config& config) {
  return with_experts(config, "granitemoe", "GraniteMoe");
}

nn::ModelSpec declare_granitemoeshared(const Config& config) {
  return with_experts(config, "granitemoeshared", "GraniteMoeShared");
}

}  // namespace farthing::models
