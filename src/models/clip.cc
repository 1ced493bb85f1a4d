#include "models/clip.h"

#include "models/parts.h"

namespace farthing::models {
namespace {

nn::BlockSpec encoder_layer(const Config& config, std::int64_t hidden_size) {
  const HeadCounts heads =
      checked_heads(config, "num_attention_heads", hidden_size,
                    {.num_heads = config.size("num_attention_heads", 12), .num_key_value_heads = 1});
  const std::int64_t width = config.size("intermediate_size", 3072);
  const double eps = config.number("layer_norm_eps", 1e-5);
  return {.class_name = "CLIPEncoderLayer",
          .attention_norm = layer_norm("layer_norm1", hidden_size, eps),
          .attention = {.name = "self_attn",
                        .class_name = "CLIPAttention",
                        .num_heads = heads.num_heads,
                        .num_key_value_heads = heads.num_heads,
                        .head_dim = heads.head_dim,
                        .inputs = {{"q_proj", hidden_size, hidden_size, true},
                                   {"k_proj", hidden_size, hidden_size, true},
                                   {"v_proj", hidden_size, hidden_size, true}},
                        .output = {"out_proj", hidden_size, hidden_size, true},
                        .causal = false},
          .mlp_norm = layer_norm("layer_norm2", hidden_size, eps),
          .mlp = {.name = "mlp",
                  .class_name = "CLIPMLP",
                  .activation = activation(config, "hidden_act", "quick_gelu"),
                  .up = {"fc1", hidden_size, width, true},
                  .down = {"fc2", width, hidden_size, true}}};
}

}  // namespace

nn::VisionSpec clip_tower(const Config& config, std::string path) {
  const std::int64_t hidden_size = config.size("hidden_size", 768);
  const std::int64_t num_layers = config.num_layers("num_hidden_layers", 12);
  nn::VisionSpec vision{
      .path = std::move(path),
      .class_name = "CLIPVisionModel",
      .model_type = "clip_vision_model",
      .hidden_size = hidden_size,
      .num_channels = config.size("num_channels", 3),
      .image_size = config.size("image_size", 224),
      .patch_size = config.size("patch_size", 32),
      .patch_embedding = "embeddings.patch_embedding",
      .class_embedding = "embeddings.class_embedding",
      .position_embedding = "embeddings.position_embedding",
      .pre_norm = layer_norm("pre_layrnorm", hidden_size, config.number("layer_norm_eps", 1e-5)),
      .layers = "encoder.layers",
      .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(num_layers),
                                           encoder_layer(config, hidden_size)),
      .feature_layers = {-1}};
  constexpr std::int64_t kLargestSide = 1 << 14;  // patches per side and channels stay far from overflow
  config.require(vision.num_channels <= 16, "num_channels",
                 "a size in the model configuration is out of range");
  config.require(vision.image_size <= kLargestSide && vision.patch_size <= vision.image_size, "patch_size",
                 "the picture and its patches do not fit together");
  return vision;
}

}  // namespace farthing::models
