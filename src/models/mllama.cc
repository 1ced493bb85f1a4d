// Mllama (Llama 3.2 Vision): a decoder some of whose layers attend to pictures instead of text, and a tower
// that sees all tiles of a picture together.
#include <algorithm>

#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

constexpr double kTowerNormEps = 1e-5;  // of the norms around the layers, not configurable in the reference

nn::DecoderSpec decoder(const Config& config) {
  nn::DecoderSpec decoder = llama_decoder(config, {.class_prefix = "Mllama",
                                                   .vocab_size = 128256,
                                                   .intermediate_size = 14336,
                                                   .num_hidden_layers = 40,
                                                   .num_key_value_heads = 8,
                                                   .max_position_embeddings = 131072,
                                                   .rms_norm_eps = 1e-5,
                                                   .rope = {.theta = 500000.0}});
  decoder.path = "model.language_model";
  decoder.class_name = "MllamaTextModel";
  decoder.extra_tokens = 8;
  for (nn::BlockSpec& block : decoder.blocks) {
    block.class_name = "MllamaSelfAttentionDecoderLayer";
    block.attention.class_name = "MllamaTextSelfAttention";
    block.mlp.class_name = "MllamaTextMLP";
  }
  const auto layers = static_cast<std::int64_t>(decoder.blocks.size());
  std::vector<std::int64_t> crossing = {3, 8, 13, 18, 23, 28, 33, 38};
  crossing = config.integers("cross_attention_layers", crossing);
  for (const std::int64_t layer : crossing) {
    config.require(layer >= 0 && (layer < layers || !config.has("cross_attention_layers")),
                   "cross_attention_layers", "the decoder has no such layer");
    if (layer >= layers) continue;
    nn::BlockSpec& block = decoder.blocks[static_cast<std::size_t>(layer)];
    block.class_name = "MllamaCrossAttentionDecoderLayer";
    block.attention.name = "cross_attn";
    block.attention.class_name = "MllamaTextCrossAttention";
    block.attention.cross = true;
    block.attention.rope.reset();
    add_head_norms(block, config.number("rms_norm_eps", 1e-5));
    block.attention_scale = {.name = "cross_attn_attn_gate", .tanh = true};
    block.mlp_scale = {.name = "cross_attn_mlp_gate", .tanh = true};
  }
  return decoder;
}

nn::BlockSpec mllama_tower_block(const Config& config, std::int64_t hidden_size) {
  HeadCounts heads =
      checked_heads(config, "attention_heads", hidden_size,
                    {.num_heads = config.size("attention_heads", 16), .num_key_value_heads = 1});
  const double eps = config.number("norm_eps", 1e-5);
  const std::int64_t width = config.size("intermediate_size", 5120);
  return {.class_name = "MllamaVisionEncoderLayer",
          .attention_norm = layer_norm("input_layernorm", hidden_size, eps),
          .attention = {.name = "self_attn",
                        .class_name = "MllamaVisionAttention",
                        .num_heads = heads.num_heads,
                        .num_key_value_heads = heads.num_heads,
                        .head_dim = heads.head_dim,
                        .inputs = {{"q_proj", hidden_size, hidden_size},
                                   {"k_proj", hidden_size, hidden_size},
                                   {"v_proj", hidden_size, hidden_size}},
                        .output = {"o_proj", hidden_size, hidden_size},
                        .causal = false,
                        .two_way_spans = true},
          .mlp_norm = layer_norm("post_attention_layernorm", hidden_size, eps),
          .mlp = {.name = "mlp",
                  .class_name = "MllamaVisionMLP",
                  .activation = activation(config, "hidden_act", "gelu"),
                  .up = {"fc1", hidden_size, width, true},
                  .down = {"fc2", width, hidden_size, true}}};
}

nn::TilingSpec tiling(const Config& config, nn::BlockSpec block) {
  constexpr std::string_view kRatios = "supported_aspect_ratios";
  const std::int64_t max_tiles = config.size("max_num_tiles", 4);
  config.require(max_tiles <= 64, "max_num_tiles", "a picture has too many tiles");
  config.require(!config.has(kRatios) || config.json()[kRatios].is_array(), kRatios,
                 "the aspect ratios should be a list");
  const std::int64_t ratios =
      config.has(kRatios) ? static_cast<std::int64_t>(config.json()[kRatios].size()) : 8;
  block.attention_scale = {.name = "gate_attn", .tanh = true};
  block.mlp_scale = {.name = "gate_ffn", .tanh = true};
  const std::int64_t layers = config.num_layers("num_global_layers", 8);
  return {.max_tiles = max_tiles,
          .aspect_ratios = ratios + 1,
          .before = "pre_tile_positional_embedding",
          .after = "post_tile_positional_embedding",
          .positions = "gated_positional_embedding",
          .global_layers = "global_transformer.layers",
          .global_blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(layers), block)};
}

// States of the tower, counted from its embedding, that go beside the last one. transformers 4, like the code
// that the released models were trained with, keeps the state before a layer; transformers 5.17 that after
// it. A file says by its transformers_version whose numbers it has; the released ones all say 4.
std::vector<std::int64_t> feature_layers(const Config& config, const std::string& version,
                                         std::int64_t layers) {
  constexpr std::string_view kKey = "intermediate_layers_indices";
  std::vector<std::int64_t> states = config.integers(kKey, {3, 7, 15, 23, 30});
  for (std::int64_t& state : states) {
    config.require(!config.has(kKey) || (state >= 0 && state < layers), kKey,
                   "the vision tower has no such layer");
    state = std::min(state, layers - 1) + (version.starts_with("4.") ? 0 : 1);
  }
  return states;
}

nn::VisionSpec tower(const Config& config, const std::string& version) {
  const std::int64_t hidden_size = config.size("hidden_size", 1280);
  const nn::BlockSpec block = mllama_tower_block(config, hidden_size);
  const std::int64_t layers = config.num_layers("num_hidden_layers", 32);
  nn::VisionSpec vision{.path = "model.vision_model",
                        .class_name = "MllamaVisionModel",
                        .model_type = "mllama_vision_model",
                        .hidden_size = hidden_size,
                        .num_channels = config.size("num_channels", 3),
                        .image_size = config.size("image_size", 448),
                        .patch_size = config.size("patch_size", 14),
                        .patch_embedding = "patch_embedding",
                        .class_embedding = "class_embedding",
                        .pre_norm = layer_norm("layernorm_pre", hidden_size, kTowerNormEps),
                        .layers = "transformer.layers",
                        .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(layers), block),
                        .post_norm = layer_norm("layernorm_post", hidden_size, kTowerNormEps),
                        .feature_layers = feature_layers(config, version, layers),
                        .drop_class_token = false,
                        .tiling = tiling(config, block)};
  check_patches(config, vision);
  return vision;
}

}  // namespace

nn::ModelSpec declare_mllama(const Config& config) {
  nn::ModelSpec model =
      text_model(config, "mllama", "MllamaForConditionalGeneration", decoder(config.child("text_config")));
  model.vision = tower(config.child("vision_config"), config.text("transformers_version", ""));
  const std::int64_t width =
      model.vision->hidden_size * (1 + static_cast<std::int64_t>(model.vision->feature_layers.size()));
  model.projector = nn::ProjectorSpec{.path = "model.multi_modal_projector",
                                      .class_name = "Linear",
                                      .linears = {{"", width, model.decoder.hidden_size, true}}};
  model.image_token_id = config.integer(config.spelling({"image_token_id", "image_token_index"}), 128256);
  model.placeholder = {.layout = nn::PlaceholderSpec::Layout::kSingle, .before_begin = true};
  model.names = {{"vision_model.", "model.vision_model."},
                 {"multi_modal_projector", "model.multi_modal_projector"},
                 {"language_model.model.", "model.language_model."},
                 {"language_model.lm_head", "lm_head"}};
  model.default_ignore = {"re:.*lm_head", "re:.*multi_modal_projector.*", "re:.*vision_model.*"};
  model.sequential_targets = {"MllamaSelfAttentionDecoderLayer"};
  return model;
}

}  // namespace farthing::models
