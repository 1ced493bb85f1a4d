// Pixtral's tower: patches of pictures of any size, turned by row and column, in Llama-like blocks; and
// Mistral 3, which merges its patches.
#include "models/pixtral.h"

#include "models/families.h"
#include "models/llava.h"
#include "models/parts.h"
#include "models/rope_config.h"

namespace farthing::models {
namespace {

constexpr double kEps = 1e-5;  // not configurable in the reference

nn::AttentionSpec pixtral_attention(const Config& config, std::int64_t hidden_size) {
  HeadCounts heads{.num_heads = config.size("num_attention_heads", 16), .num_key_value_heads = 1};
  if (config.has("head_dim")) heads.head_dim = config.size("head_dim");
  heads = checked_heads(config, "num_attention_heads", hidden_size, heads);
  heads.num_key_value_heads = heads.num_heads;
  config.require(heads.head_dim % 4 == 0, "head_dim", "a head cannot be turned by rows and columns");
  nn::RopeSpec rope = rope_config(config, heads.head_dim);
  rope.axis_sections = {heads.head_dim / 4, heads.head_dim / 4};
  rope.axis_frequencies = nn::AxisFrequencies::kAlternating;
  return {.name = "attention",
          .class_name = "PixtralAttention",
          .num_heads = heads.num_heads,
          .num_key_value_heads = heads.num_heads,
          .head_dim = heads.head_dim,
          .inputs = {{"q_proj", hidden_size, heads.query_width()},
                     {"k_proj", hidden_size, heads.query_width()},
                     {"v_proj", hidden_size, heads.query_width()}},
          .output = {"o_proj", heads.query_width(), hidden_size},
          .rope = rope,
          .causal = false};
}

}  // namespace

nn::VisionSpec pixtral_tower(const Config& config, std::string path) {
  const std::int64_t hidden_size = config.size("hidden_size", 1024);
  const nn::BlockSpec block{
      .class_name = "PixtralAttentionLayer",
      .attention_norm = rms_norm("attention_norm", hidden_size, kEps),
      .attention = pixtral_attention(config, hidden_size),
      .mlp_norm = rms_norm("ffn_norm", hidden_size, kEps),
      .mlp = gated_mlp("feed_forward", "PixtralMLP", activation(config, "hidden_act", "gelu"), hidden_size,
                       config.size("intermediate_size", 4096))};
  const std::int64_t num_layers = config.num_layers("num_hidden_layers", 24);
  nn::VisionSpec vision{.path = std::move(path),
                        .class_name = "PixtralVisionModel",
                        .model_type = "pixtral",
                        .input = nn::PictureInput::kAnySize,
                        .hidden_size = hidden_size,
                        .num_channels = config.size("num_channels", 3),
                        .image_size = config.size("image_size", 1024),
                        .patch_size = config.size("patch_size", 16),
                        .patch_embedding = "patch_conv",
                        .pre_norm = rms_norm("ln_pre", hidden_size, kEps),
                        .layers = "transformer.layers",
                        .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(num_layers), block),
                        .feature_layers = {-1}};
  check_patches(config, vision);
  return vision;
}

nn::ModelSpec declare_mistral3(const Config& config) {
  nn::ModelSpec model = llava_model(config, {.family = "mistral3",
                                             .class_prefix = "Mistral3",
                                             .text_type = "mistral",
                                             .vision_type = "pixtral",
                                             .feature_layer = -1,
                                             .projector_bias = false,
                                             .image_token_id = 10});
  nn::ProjectorSpec& projector = *model.projector;
  const std::int64_t width = model.vision->hidden_size;
  config.require(projector.linears.front().in_features == width, "vision_feature_layer",
                 "features of several layers cannot be merged");
  projector.norm = rms_norm("norm", width, config.child("text_config").number("rms_norm_eps", 1e-6));
  projector.merge = nn::PatchMerge::kChannelMajor;
  projector.merge_size = config.size("spatial_merge_size", 2);
  config.require(projector.merge_size <= 64, "spatial_merge_size", "patches are merged in too large squares");
  projector.merged_linear = nn::LinearSpec{"patch_merger.merging_layer",
                                           width * projector.merge_size * projector.merge_size, width};
  return model;
}

}  // namespace farthing::models
