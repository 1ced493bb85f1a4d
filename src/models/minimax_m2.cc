// MiniMax-M2: the Llama skeleton with norms of queries and keys over all heads, a partial rotation, and
// experts chosen by sigmoids with a bias.
#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_minimax_m2(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "MiniMaxM2",
                                                   .vocab_size = 200064,
                                                   .hidden_size = 3072,
                                                   .intermediate_size = 1536,
                                                   .num_hidden_layers = 62,
                                                   .num_attention_heads = 48,
                                                   .num_key_value_heads = 8,
                                                   .head_dim = 128,
                                                   .max_position_embeddings = 196608,
                                                   .rope = {.theta = 5e6}});
  for (nn::BlockSpec& block : decoder.blocks) {
    add_projection_norms(block, config.number("rms_norm_eps", 1e-6));
    nn::MlpSpec expert = block.mlp;
    expert.gate->name = "w1";
    expert.up.name = "w3";
    expert.down.name = "w2";
    block.moe = mixture(config, "block_sparse_moe", "MiniMaxM2SparseMoeBlock", std::move(expert),
                        config.spelling({"num_local_experts", "num_experts"}), 256, 8);
    block.moe->score = nn::RouterScore::kSigmoid;
    block.moe->choice_bias = "e_score_correction_bias";
  }
  nn::ModelSpec model = text_model(config, "minimax_m2", "MiniMaxM2ForCausalLM", std::move(decoder));
  model.default_ignore.push_back("re:.*block_sparse_moe.gate$");
  return model;
}

}  // namespace farthing::models
