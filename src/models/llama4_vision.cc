// Llama 4's tower: tiles of one size, learned positions and a rotation by column and row beside them, the
// class token behind the patches; squares of patches become one and pass three linears.
#include "models/llama4_vision.h"

#include "models/parts.h"
#include "models/rope_config.h"

namespace farthing::models {
namespace {

constexpr double kLlama4TowerEps = 1e-5;  // norm_eps is not read by the reference

nn::BlockSpec llama4_encoder_layer(const Config& config, std::int64_t hidden_size) {
  const HeadCounts heads =
      checked_heads(config, "num_attention_heads", hidden_size,
                    {.num_heads = config.size("num_attention_heads", 16), .num_key_value_heads = 1});
  config.require(heads.head_dim % 4 == 0, "num_attention_heads",
                 "a head cannot be turned by columns and rows");
  nn::RopeSpec rope = rope_config(config, heads.head_dim);
  rope.style = nn::RotaryStyle::kNeighbours;
  rope.axis_sections = {heads.head_dim / 4, heads.head_dim / 4};
  rope.axis_frequencies = nn::AxisFrequencies::kRestarted;
  const std::int64_t width = config.size("intermediate_size", 5632);
  return {.class_name = "Llama4VisionEncoderLayer",
          .attention_norm = layer_norm("input_layernorm", hidden_size, kLlama4TowerEps),
          .attention = {.name = "self_attn",
                        .class_name = "Llama4VisionAttention",
                        .num_heads = heads.num_heads,
                        .num_key_value_heads = heads.num_heads,
                        .head_dim = heads.head_dim,
                        .inputs = {{"q_proj", hidden_size, hidden_size, true},
                                   {"k_proj", hidden_size, hidden_size, true},
                                   {"v_proj", hidden_size, hidden_size, true}},
                        .output = {"o_proj", hidden_size, hidden_size, true},
                        .rope = rope,
                        .causal = false},
          .mlp_norm = layer_norm("post_attention_layernorm", hidden_size, kLlama4TowerEps),
          .mlp = {.name = "mlp",
                  .class_name = "Llama4VisionMLP",
                  .activation = nn::Activation::kGelu,
                  .up = {"fc1", hidden_size, width, true},
                  .down = {"fc2", width, hidden_size, true}}};
}

nn::VisionSpec llama4_tower(const Config& config) {
  const std::int64_t hidden_size = config.size("hidden_size", 768);
  const std::int64_t layers = config.num_layers("num_hidden_layers", 34);
  nn::VisionSpec vision{.path = "vision_model",
                        .class_name = "Llama4VisionModel",
                        .model_type = "llama4_vision_model",
                        .hidden_size = hidden_size,
                        .num_channels = config.size("num_channels", 3),
                        .image_size = square_size(config, "image_size", 448),
                        .patch_size = square_size(config, "patch_size", 14),
                        .patch_embedding = "patch_embedding.linear",
                        .flat_patches = true,
                        .class_embedding = "class_embedding",
                        .class_token_last = true,
                        .position_embedding = "positional_embedding_vlm",
                        .embedding_form = nn::EmbeddingForm::kBare,
                        .column_first = true,
                        .first_row = 1,
                        .pre_norm = layer_norm("layernorm_pre", hidden_size, kLlama4TowerEps),
                        .layers = "model.layers",
                        .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(layers),
                                                             llama4_encoder_layer(config, hidden_size)),
                        .post_norm = layer_norm("layernorm_post", hidden_size, kLlama4TowerEps),
                        .feature_layers = {-1}};
  check_patches(config, vision);
  return vision;
}

// The tower's adapter and the projector behind it, with a gelu between any two of their linears.
nn::ProjectorSpec llama4_projector(const Config& vision, std::int64_t decoder_size) {
  const double ratio = vision.number("pixel_shuffle_ratio", 0.5);
  vision.require(ratio > 1.0 / 64 && ratio <= 1.0, "pixel_shuffle_ratio",
                 "patches are merged in squares of impossible size");
  const auto side = static_cast<std::int64_t>(1.0 / ratio);
  const std::int64_t between = vision.size("projector_input_dim", 4096),
                     out = vision.size("projector_output_dim", 4096);
  return {
      .class_name = "Llama4MultiModalProjector",
      .merge = nn::PatchMerge::kSpaceToDepth,
      .merge_size = side,
      .linears = {{"vision_model.vision_adapter.mlp.fc1", vision.size("intermediate_size", 5632), between},
                  {"vision_model.vision_adapter.mlp.fc2", out, out},
                  {"multi_modal_projector.linear_1", vision.size("vision_output_dim", 7680), decoder_size}},
      .activation = nn::Activation::kGelu};
}

}  // namespace

void add_llama4_vision(const Config& config, nn::ModelSpec& model) {
  const Config vision = config.child("vision_config");
  model.vision = llama4_tower(vision);
  model.projector = llama4_projector(vision, model.decoder.hidden_size);
  model.image_token_id = config.integer(config.spelling({"image_token_id", "image_token_index"}), 200092);
  model.placeholder = {.layout = nn::PlaceholderSpec::Layout::kSeparatedTiles,
                       .text = "<|image|>",
                       .before = "<|image_start|>",
                       .after = "<|image_end|>",
                       .row_break = "<|tile_x_separator|>",
                       .row_end = "<|tile_y_separator|>",
                       .whole_view = "<|image|>"};
}

}  // namespace farthing::models
