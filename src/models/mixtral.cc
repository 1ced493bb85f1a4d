// Mixtral: Mistral's attention, and a mixture of experts for the MLP.
#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::MoeSpec mixtral_experts(const Config& config, const nn::MlpSpec& mlp) {
  nn::MlpSpec expert = mlp;
  expert.class_name = "MixtralBlockSparseTop2MLP";
  expert.gate->name = "w1";
  expert.up.name = "w3";
  expert.down.name = "w2";
  return mixture(config, "block_sparse_moe", "MixtralSparseMoeBlock", std::move(expert),
                 config.spelling({"num_local_experts", "num_experts"}), 8, 2);
}

}  // namespace

nn::ModelSpec declare_mixtral(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Mixtral",
                                                   .intermediate_size = 14336,
                                                   .num_key_value_heads = 8,
                                                   .max_position_embeddings = 131072,
                                                   .rms_norm_eps = 1e-5,
                                                   .rope = {.theta = 1e6}});
  for (nn::BlockSpec& block : decoder.blocks) {
    block.attention.sliding_window = sliding_window(config, 0);
    block.moe = mixtral_experts(config, block.mlp);
  }
  nn::ModelSpec model = text_model(config, "mixtral", "MixtralForCausalLM", std::move(decoder));
  model.default_ignore.push_back("re:.*block_sparse_moe.gate$");
  return model;
}

}  // namespace farthing::models
