// gpt-oss: attention with a sink per head, every other layer with a window, and a mixture of experts with
// biases, whose gates and up-projections are cut off. Files keep the experts together, in 16 bits or MXFP4.
#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"
#include "models/rope_config.h"

namespace farthing::models {
namespace {

nn::MoeSpec gpt_oss_experts(const Config& config, nn::MlpSpec expert) {
  expert.class_name = "GptOssExpert";
  expert.activation = nn::Activation::kQuickGelu;  // gate * sigmoid(1.702 gate)
  expert.limit = 7.0f;
  expert.up_offset = 1.0f;
  set_mlp_bias(expert, true);
  nn::MoeSpec moe = mixture(config, "mlp", "GptOssMLP", std::move(expert),
                            config.spelling({"num_local_experts", "num_experts"}), 128, 4);
  moe.router.name = "router";
  moe.router.bias = true;
  moe.fused = {.transposed = true, .interleaved = true};
  return moe;
}

}  // namespace

nn::ModelSpec declare_gpt_oss(const Config& file) {
  const Config config = with_default_scaling(file, {{"rope_type", "yarn"},
                                                    {"factor", 32.0},
                                                    {"truncate", false},
                                                    {"original_max_position_embeddings", 4096}});
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "GptOss",
                                                   .vocab_size = 201088,
                                                   .hidden_size = 2880,
                                                   .intermediate_size = 2880,
                                                   .num_hidden_layers = 36,
                                                   .num_attention_heads = 64,
                                                   .num_key_value_heads = 8,
                                                   .head_dim = 64,
                                                   .max_position_embeddings = 131072,
                                                   .rms_norm_eps = 1e-5,
                                                   .rope = {.theta = 150000.0}});
  const std::vector<bool> sliding = sliding_layers(config, static_cast<std::int64_t>(decoder.blocks.size()),
                                                   [](std::int64_t layer) { return layer % 2 == 0; });
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::BlockSpec& block = decoder.blocks[i];
    block.attention.sinks = "sinks";
    if (sliding[i]) block.attention.sliding_window = sliding_window(config, 128);
    if (config.flag("attention_bias", true)) add_attention_bias(block, true);
    block.moe = gpt_oss_experts(config, block.mlp);
  }
  nn::ModelSpec model = text_model(config, "gpt_oss", "GptOssForCausalLM", std::move(decoder));
  model.default_ignore.push_back("re:.*mlp.router$");
  return model;
}

}  // namespace farthing::models
