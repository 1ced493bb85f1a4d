// OPT: learned positions, LayerNorm, biases; opt-350m norms after the sum and has a narrow embedding.
#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::BlockSpec opt_layer(const Config& config, std::int64_t hidden_size, const nn::NormSpec& norm) {
  const std::int64_t num_heads = config.size("num_attention_heads", 12);
  const HeadCounts heads =
      checked_heads(config, "num_attention_heads", hidden_size, {num_heads, num_heads, 0});
  const std::int64_t width = config.size("ffn_dim", 3072);
  const bool bias = config.flag("enable_bias", true);
  nn::BlockSpec block{.class_name = "OPTDecoderLayer",
                      .residual = config.flag("do_layer_norm_before", true) ? nn::Residual::kPreNorm
                                                                            : nn::Residual::kPostNorm,
                      .attention_norm = norm,
                      .attention = {.name = "self_attn",
                                    .class_name = "OPTAttention",
                                    .num_heads = heads.num_heads,
                                    .num_key_value_heads = heads.num_heads,
                                    .head_dim = heads.head_dim,
                                    .inputs = {{"q_proj", hidden_size, hidden_size, bias},
                                               {"k_proj", hidden_size, hidden_size, bias},
                                               {"v_proj", hidden_size, hidden_size, bias}},
                                    .output = {"out_proj", hidden_size, hidden_size, bias}},
                      .mlp_norm = norm,
                      .mlp = {.activation = activation(config, "activation_function", "relu"),
                              .up = {"fc1", hidden_size, width, bias},
                              .down = {"fc2", width, hidden_size, bias}}};
  block.attention_norm.name = "self_attn_layer_norm";
  block.mlp_norm.name = "final_layer_norm";  // the decoder's own norm has the same name, one level up
  return block;
}

}  // namespace

nn::ModelSpec declare_opt(const Config& config) {
  const std::int64_t hidden_size = config.size("hidden_size", 768);
  const std::int64_t embedding_size = config.size("word_embed_proj_dim", hidden_size);
  nn::NormSpec norm = layer_norm("final_layer_norm", hidden_size, 1e-5);
  norm.weight = norm.bias = config.flag("layer_norm_elementwise_affine", true);

  nn::DecoderSpec decoder{.path = "model.decoder",
                          .class_name = "OPTDecoder",
                          .vocab_size = config.size("vocab_size", 50272),
                          .hidden_size = hidden_size,
                          .max_position_embeddings = config.size("max_position_embeddings", 2048),
                          .embedding_size = embedding_size,
                          .embed_positions = "embed_positions",
                          .position_offset = 2,
                          .blocks = std::vector<nn::BlockSpec>(
                              static_cast<std::size_t>(config.num_layers("num_hidden_layers", 12)),
                              opt_layer(config, hidden_size, norm)),
                          .tie_word_embeddings = config.flag("tie_word_embeddings", true)};
  if (embedding_size != hidden_size) {
    decoder.project_in = nn::LinearSpec{"project_in", embedding_size, hidden_size};
    decoder.project_out = nn::LinearSpec{"project_out", hidden_size, embedding_size};
  }
  if (config.flag("do_layer_norm_before", true) && !config.flag("_remove_final_layer_norm", false))
    decoder.final_norm = norm;

  nn::ModelSpec model = text_model(config, "opt", "OPTForCausalLM", std::move(decoder));
  model.names = {{"decoder.", "model.decoder."}};
  return model;
}

}  // namespace farthing::models
