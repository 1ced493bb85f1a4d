// Cohere Command-R: both branches after one LayerNorm without bias, neighbouring pairs rotated, scaled
// logits. Command-R7B and -A: only layers with a window rotate.
#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::DecoderSpec cohere_decoder(const Config& config, std::string_view class_prefix, double theta) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = class_prefix,
                                                   .vocab_size = 256000,
                                                   .hidden_size = 8192,
                                                   .intermediate_size = 22528,
                                                   .num_hidden_layers = 40,
                                                   .num_attention_heads = 64,
                                                   .max_position_embeddings = 8192,
                                                   .tie_word_embeddings = true,
                                                   .rope = {.theta = theta}});
  const double eps = config.number("layer_norm_eps", 1e-5);
  for (nn::BlockSpec& block : decoder.blocks) {
    block.residual = nn::Residual::kParallel;
    block.attention_norm = layer_norm("input_layernorm", decoder.hidden_size, eps, /*bias=*/false);
    block.mlp_norm = {};
    block.attention.rope->style = nn::RotaryStyle::kNeighbours;
    if (config.flag("attention_bias", false)) add_attention_bias(block, true);
  }
  decoder.final_norm = layer_norm("norm", decoder.hidden_size, eps, /*bias=*/false);
  decoder.logit_scale = static_cast<float>(config.number("logit_scale", 0.0625));
  return decoder;
}

}  // namespace

nn::ModelSpec declare_cohere(const Config& config) {
  nn::DecoderSpec decoder = cohere_decoder(config, "Cohere", 500000.0);
  const double eps = config.number("layer_norm_eps", 1e-5);
  for (nn::BlockSpec& block : decoder.blocks) {
    nn::AttentionSpec& attention = block.attention;
    if (!config.flag("use_qk_norm", false)) continue;
    attention.query_norm = layer_norm("q_norm", attention.head_dim, eps, /*bias=*/false);
    attention.key_norm = layer_norm("k_norm", attention.head_dim, eps, /*bias=*/false);
    attention.head_norm_weights = nn::HeadNormWeights::kMatrix;
  }
  return text_model(config, "cohere", "CohereForCausalLM", std::move(decoder));
}

nn::ModelSpec declare_cohere2(const Config& config) {
  nn::DecoderSpec decoder = cohere_decoder(config, "Cohere2", 10000.0);
  const std::int64_t period = config.size("sliding_window_pattern", 4);
  const std::vector<bool> sliding =
      sliding_layers(config, static_cast<std::int64_t>(decoder.blocks.size()),
                     [&](std::int64_t layer) { return (layer + 1) % period != 0; });
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::AttentionSpec& attention = decoder.blocks[i].attention;
    if (sliding[i]) attention.sliding_window = sliding_window(config, 4096);
    if (attention.sliding_window == 0) attention.rope.reset();
  }
  return text_model(config, "cohere2", "Cohere2ForCausalLM", std::move(decoder));
}

}  // namespace farthing::models
