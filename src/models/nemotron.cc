// Nemotron and Arcee: the Llama skeleton with an MLP without gate and a squared ReLU; Nemotron with LayerNorm
// whose weights are stored as the distance from 1.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::DecoderSpec ungated_decoder(const Config& config, const LlamaDefaults& defaults) {
  nn::DecoderSpec decoder = llama_decoder(config, defaults);
  for (nn::BlockSpec& block : decoder.blocks) {
    block.mlp.gate.reset();
    set_mlp_bias(block.mlp, config.flag("mlp_bias", false));
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
  }
  return decoder;
}

}  // namespace

nn::ModelSpec declare_nemotron(const Config& config) {
  nn::DecoderSpec decoder = ungated_decoder(config, {.class_prefix = "Nemotron",
                                                     .vocab_size = 256000,
                                                     .hidden_size = 6144,
                                                     .intermediate_size = 24576,
                                                     .num_attention_heads = 48,
                                                     .max_position_embeddings = 4096,
                                                     .activation = "relu2",
                                                     .rope = {.partial_rotary_factor = 0.5}});
  const auto norm = [&](std::string name) {
    nn::NormSpec spec = layer_norm(std::move(name), decoder.hidden_size, config.number("norm_eps", 1e-5));
    spec.weight_offset = 1.0f;
    return spec;
  };
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention_norm = norm("input_layernorm");
    block.mlp_norm = norm("post_attention_layernorm");
  }
  decoder.final_norm = norm("norm");
  return text_model(config, "nemotron", "NemotronForCausalLM", std::move(decoder));
}

nn::ModelSpec declare_arcee(const Config& config) {
  return text_model(config, "arcee", "ArceeForCausalLM",
                    ungated_decoder(config, {.class_prefix = "Arcee",
                                             .hidden_size = 2560,
                                             .intermediate_size = 18432,
                                             .max_position_embeddings = 4096,
                                             .rms_norm_eps = 1e-5,
                                             .activation = "relu2"}));
}

}  // namespace farthing::models
