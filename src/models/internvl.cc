// InternVL 3: InternViT with learned scales of its branches, patches shuffled into channels, a projector with
// a norm, and a text decoder of any registered family.
#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::NormSpec tower_norm(const Config& config, std::string name, std::int64_t size) {
  const std::string type = config.text("norm_type", "layer_norm");
  config.require(type == "layer_norm" || type == "rms_norm", "norm_type", "the kind of norm is not known");
  const double eps = config.number("layer_norm_eps", 1e-6);
  return type == "rms_norm" ? rms_norm(std::move(name), size, eps) : layer_norm(std::move(name), size, eps);
}

nn::BlockSpec internvl_tower_block(const Config& config, std::int64_t hidden_size) {
  const HeadCounts heads =
      checked_heads(config, "num_attention_heads", hidden_size,
                    {.num_heads = config.size("num_attention_heads", 16), .num_key_value_heads = 1});
  const bool bias = config.flag("attention_bias", false);
  const std::int64_t width = config.size("intermediate_size", 4096);
  nn::BlockSpec block{.class_name = "InternVLVisionLayer",
                      .attention_norm = tower_norm(config, "layernorm_before", hidden_size),
                      .attention = {.name = "attention",
                                    .class_name = "InternVLVisionAttention",
                                    .num_heads = heads.num_heads,
                                    .num_key_value_heads = heads.num_heads,
                                    .head_dim = heads.head_dim,
                                    .inputs = {{"q_proj", hidden_size, hidden_size, bias},
                                               {"k_proj", hidden_size, hidden_size, bias},
                                               {"v_proj", hidden_size, hidden_size, bias}},
                                    .output = {"projection_layer", hidden_size, hidden_size, true},
                                    .causal = false},
                      .attention_scale = {.name = "lambda_1", .size = hidden_size},
                      .mlp_scale = {.name = "lambda_2", .size = hidden_size},
                      .mlp_norm = tower_norm(config, "layernorm_after", hidden_size),
                      .mlp = {.name = "mlp",
                              .class_name = "InternVLVisionMLP",
                              .activation = activation(config, "hidden_act", "gelu"),
                              .up = {"fc1", hidden_size, width, true},
                              .down = {"fc2", width, hidden_size, true}}};
  if (config.flag("use_qk_norm", false)) {
    constexpr double kEps = 1e-6;  // not configurable in the reference
    block.attention.query_norm = rms_norm("q_norm", hidden_size, kEps);
    block.attention.key_norm = rms_norm("k_norm", hidden_size, kEps);
  }
  return block;
}

nn::VisionSpec tower(const Config& config) {
  const std::int64_t hidden_size = config.size("hidden_size", 1024);
  const std::int64_t layers = config.num_layers("num_hidden_layers", 24);
  nn::VisionSpec vision{.path = "model.vision_tower",
                        .class_name = "InternVLVisionModel",
                        .model_type = "internvl_vision",
                        .hidden_size = hidden_size,
                        .num_channels = config.size("num_channels", 3),
                        .image_size = square_size(config, "image_size", 448),
                        .patch_size = square_size(config, "patch_size", 14),
                        .patch_embedding = "embeddings.patch_embeddings.projection",
                        .patch_bias = true,
                        .class_embedding = "embeddings.cls_token",
                        .position_embedding = "embeddings.position_embeddings",
                        .embedding_form = nn::EmbeddingForm::kBareWithBatch,
                        .layers = "encoder.layer",
                        .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(layers),
                                                             internvl_tower_block(config, hidden_size)),
                        .feature_layers = {-1}};
  config.require(config.flag("use_absolute_position_embeddings", true), "use_absolute_position_embeddings",
                 "a vision tower without positions is not supported");
  if (!config.flag("use_mean_pooling", true))
    vision.post_norm = layer_norm("layernorm", hidden_size, config.number("layer_norm_eps", 1e-6));
  check_patches(config, vision);
  return vision;
}

}  // namespace

nn::ModelSpec declare_internvl(const Config& config) {
  nn::ModelSpec model =
      text_model(config, "internvl", "InternVLForConditionalGeneration", composite_decoder(config, "qwen2"));
  model.vision = tower(config.child("vision_config"));
  const std::int64_t layer = config.integer("vision_feature_layer", -1);
  const auto layers = static_cast<std::int64_t>(model.vision->blocks.size());
  config.require(layer >= -layers - 1 && layer <= layers, "vision_feature_layer",
                 "the vision tower has no such layer");
  model.vision->feature_layers = {layer};
  const double ratio = config.number("downsample_ratio", 0.5);
  config.require(ratio > 1.0 / 64 && ratio <= 1.0, "downsample_ratio",
                 "patches are merged in squares of impossible size");
  const auto scale = static_cast<std::int64_t>(1.0 / ratio);
  const std::int64_t width = model.vision->hidden_size * scale * scale,
                     hidden_size = model.decoder.hidden_size;
  model.projector = nn::ProjectorSpec{
      .path = "model.multi_modal_projector",
      .class_name = "InternVLMultiModalProjector",
      .merge = nn::PatchMerge::kSpaceToDepth,
      .merge_size = scale,
      .merged_norm = layer_norm("layer_norm", width, 1e-5),
      .linears = {{"linear_1", width, hidden_size, true}, {"linear_2", hidden_size, hidden_size, true}},
      .activation = activation(config, "projector_hidden_act", "gelu")};
  model.image_token_id = config.integer("image_token_id", 151667);
  model.placeholder = {.before = "<img>", .after = "</img>"};
  model.names = composite_names("vision_tower", "multi_modal_projector");
  model.default_ignore = {"re:.*lm_head", "re:.*vision_tower.*", "re:.*multi_modal_projector.*"};
  return model;
}

}  // namespace farthing::models
