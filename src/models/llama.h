// The Llama skeleton, which many families share: RMSNorm, rotary attention with grouped heads, gated MLP, no
// biases.
#pragma once

#include <string_view>

#include "models/family.h"
#include "models/rope_config.h"

namespace farthing::models {

/// What a family of this skeleton assumes about keys that the file leaves out, and how its classes are
/// called.
struct LlamaDefaults {
  std::string_view class_prefix;  // "Mistral" in MistralDecoderLayer
  std::int64_t vocab_size = 32000;
  std::int64_t hidden_size = 4096;
  std::int64_t intermediate_size = 11008;
  std::int64_t num_hidden_layers = 32;
  std::int64_t num_attention_heads = 32;
  std::int64_t num_key_value_heads = 0;  // 0: as many as heads
  std::int64_t head_dim = 0;             // 0: hidden_size / heads
  std::int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  std::string_view activation_key = "hidden_act";
  std::string_view activation = "silu";
  float norm_weight_offset = 0.0f;
  RopeDefaults rope;
};

/// Declares the decoder at "model" with its head at "lm_head".
nn::DecoderSpec llama_decoder(const Config& config, const LlamaDefaults& defaults);

/// Gives the attention of a block a bias on q, k and v, and on the output if asked.
void add_attention_bias(nn::BlockSpec& block, bool output);

/// Gives gate, up and down biases, or takes them.
void set_mlp_bias(nn::MlpSpec& mlp, bool bias);

/// Moves the norms of both branches behind them, under OLMo 2's names.
void move_norms_behind(nn::BlockSpec& block, std::int64_t hidden_size, double eps);

/// Gives a block OLMo 2's norms of queries and keys, over all heads at once before the rotation.
void add_projection_norms(nn::BlockSpec& block, double eps);

/// Gives a block Qwen 3's norms of queries and keys, per head before the rotation.
void add_head_norms(nn::BlockSpec& block, double eps, float weight_offset = 0.0f);

}  // namespace farthing::models
