#include "models/clip.h"

#include "models/parts.h"

namespace farthing::models {
namespace {

// What CLIP's and SigLIP's layers differ in.
struct LayerKind {
  std::string prefix;  // of class names
  std::int64_t default_heads;
  std::string_view default_activation;
  double default_eps;
};

nn::BlockSpec encoder_layer(const Config& config, std::int64_t hidden_size, const LayerKind& kind) {
  const HeadCounts heads = checked_heads(
      config, "num_attention_heads", hidden_size,
      {.num_heads = config.size("num_attention_heads", kind.default_heads), .num_key_value_heads = 1});
  const std::int64_t width = config.size("intermediate_size", 3072);
  const double eps = config.number("layer_norm_eps", kind.default_eps);
  return {.class_name = kind.prefix + "EncoderLayer",
          .attention_norm = layer_norm("layer_norm1", hidden_size, eps),
          .attention = {.name = "self_attn",
                        .class_name = kind.prefix + "Attention",
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
                  .class_name = kind.prefix + "MLP",
                  .activation = activation(config, "hidden_act", kind.default_activation),
                  .up = {"fc1", hidden_size, width, true},
                  .down = {"fc2", width, hidden_size, true}}};
}

nn::VisionSpec tower(const Config& config, std::string path, std::int64_t hidden_size,
                     std::int64_t default_patch_size, const LayerKind& kind) {
  const std::int64_t num_layers = config.num_layers("num_hidden_layers", 12);
  nn::VisionSpec vision{.path = std::move(path),
                        .class_name = kind.prefix + "VisionModel",
                        .hidden_size = hidden_size,
                        .num_channels = config.size("num_channels", 3),
                        .image_size = config.size("image_size", 224),
                        .patch_size = config.size("patch_size", default_patch_size),
                        .patch_embedding = "embeddings.patch_embedding",
                        .position_embedding = "embeddings.position_embedding",
                        .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(num_layers),
                                                             encoder_layer(config, hidden_size, kind)),
                        .feature_layers = {-1}};
  check_patches(config, vision);
  return vision;
}

}  // namespace

nn::VisionSpec clip_tower(const Config& config, std::string path) {
  const std::int64_t hidden_size = config.size("hidden_size", 768);
  nn::VisionSpec vision = tower(config, std::move(path), hidden_size, 32, {"CLIP", 12, "quick_gelu", 1e-5});
  vision.model_type = "clip_vision_model";
  vision.class_embedding = "embeddings.class_embedding";
  vision.pre_norm = layer_norm("pre_layrnorm", hidden_size, config.number("layer_norm_eps", 1e-5));
  return vision;
}

nn::VisionSpec siglip_tower(const Config& config, std::string path, const SiglipDefaults& defaults) {
  const std::int64_t hidden_size = config.size("hidden_size", defaults.hidden_size);
  nn::VisionSpec vision =
      tower(config, std::move(path), hidden_size, defaults.patch_size,
            {defaults.class_prefix, defaults.num_attention_heads, "gelu_pytorch_tanh", 1e-6});
  vision.model_type = defaults.model_type;
  vision.patch_bias = true;
  vision.post_norm = layer_norm("post_layernorm", hidden_size, config.number("layer_norm_eps", 1e-6));
  return vision;
}

}  // namespace farthing::models
