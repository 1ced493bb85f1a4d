// Qwen 2-VL and Qwen 2.5-VL: patches of pictures of any size in squares, turned by row and column, merged
// into the decoder, whose tokens have a time, a row and a column.
#include <algorithm>
#include <numeric>

#include "models/families.h"
#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

constexpr double kTowerEps = 1e-6;  // not configurable in the reference

nn::DecoderSpec decoder(const Config& config, std::string_view class_prefix) {
  const Config text = config.has("text_config") ? config.child("text_config") : config;
  nn::DecoderSpec decoder = llama_decoder(text, {.class_prefix = class_prefix,
                                                 .vocab_size = 152064,
                                                 .hidden_size = 8192,
                                                 .intermediate_size = 29568,
                                                 .num_hidden_layers = 80,
                                                 .num_attention_heads = 64,
                                                 .num_key_value_heads = 8,
                                                 .max_position_embeddings = 32768,
                                                 .rms_norm_eps = 1e-5,
                                                 .rope = {.theta = 1e6}});
  if (!text.has("tie_word_embeddings"))
    decoder.tie_word_embeddings = config.flag("tie_word_embeddings", false);
  for (nn::BlockSpec& block : decoder.blocks) {
    add_attention_bias(block, false);
    nn::RopeSpec& rope = *block.attention.rope;
    if (rope.axis_sections.empty()) rope.axis_sections = {16, 24, 24};
    const std::int64_t pairs =
        std::accumulate(rope.axis_sections.begin(), rope.axis_sections.end(), std::int64_t{0});
    text.require(rope.axis_sections.size() == 3 && 2 * pairs == block.attention.head_dim, "mrope_section",
                 "the rotation should have sections for time, row and column that cover the head");
  }
  set_qwen_windows(text, decoder.blocks, /*default_first=*/80);
  decoder.path = "model.language_model";
  return decoder;
}

nn::AttentionSpec attention(const Config& config, std::int64_t hidden_size, std::string class_name) {
  HeadCounts heads = checked_heads(config, "num_heads", hidden_size,
                                   {.num_heads = config.size("num_heads", 16), .num_key_value_heads = 1});
  config.require(heads.head_dim % 4 == 0, "num_heads", "a head cannot be turned by rows and columns");
  nn::RopeSpec rope{.theta = config.child("rope_parameters").number("rope_theta", 10000.0),
                    .axis_sections = {heads.head_dim / 4, heads.head_dim / 4},
                    .axis_frequencies = nn::AxisFrequencies::kRestarted};
  return {.name = "attn",
          .class_name = std::move(class_name),
          .num_heads = heads.num_heads,
          .num_key_value_heads = heads.num_heads,
          .head_dim = heads.head_dim,
          .layout = nn::QkvLayout::kConcatenated,
          .inputs = {{"qkv", hidden_size, 3 * hidden_size, true}},
          .output = {"proj", hidden_size, hidden_size, true},
          .rope = rope,
          .causal = false};
}

// What both towers share; the blocks are each one's own.
nn::VisionSpec tower(const Config& config, std::string class_name, std::int64_t hidden_size,
                     const nn::BlockSpec& block) {
  const std::int64_t depth = config.num_layers("depth", 32);
  nn::VisionSpec vision{.path = "model.visual",
                        .class_name = std::move(class_name),
                        .input = nn::PictureInput::kPatches,
                        .hidden_size = hidden_size,
                        .num_channels = config.size(config.spelling({"in_channels", "in_chans"}), 3),
                        .patch_size = config.size("patch_size", 14),
                        .temporal_patch_size = config.size("temporal_patch_size", 2),
                        .patch_embedding = "patch_embed.proj",
                        .layers = "blocks",
                        .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(depth), block),
                        .patch_block = config.size("spatial_merge_size", 2),
                        .feature_layers = {-1}};
  vision.image_size = vision.patch_size;  // there is none: pictures have any size
  config.require(vision.patch_block <= 64 && vision.temporal_patch_size <= 64, "spatial_merge_size",
                 "patches are merged in too large squares");
  check_patches(config, vision);
  return vision;
}

nn::ModelSpec qwen_vl_model(const Config& config, std::string family, const std::string& prefix,
                            nn::VisionSpec vision, nn::NormSpec merger_norm) {
  nn::ModelSpec model =
      text_model(config, std::move(family), prefix + "ForConditionalGeneration", decoder(config, prefix));
  const std::int64_t width = vision.hidden_size * vision.patch_block * vision.patch_block;
  model.projector = nn::ProjectorSpec{
      .path = "model.visual.merger",
      .class_name = prefix + "PatchMerger",
      .norm = std::move(merger_norm),
      .merge = nn::PatchMerge::kConsecutive,
      .merge_size = vision.patch_block,
      .linears = {{"mlp.0", width, width, true}, {"mlp.2", width, model.decoder.hidden_size, true}}};
  model.vision = std::move(vision);
  model.image_token_id = config.integer("image_token_id", 151655);
  model.names = {{"model.language_model.", "model.language_model."},
                 {"model.visual.", "model.visual."},
                 {"visual.", "model.visual."},
                 {"model.", "model.language_model."}};
  model.default_ignore = {"re:.*lm_head", "re:visual.*", "re:model.visual.*"};
  return model;
}

}  // namespace

nn::ModelSpec declare_qwen2_vl(const Config& config) {
  const Config vision = config.child("vision_config");
  const std::int64_t hidden_size = vision.size("embed_dim", 1280);
  const std::int64_t width = hidden_size * vision.size("mlp_ratio", 4);
  vision.require(width <= std::int64_t{1} << 30, "mlp_ratio",
                 "a size in the model configuration is out of range");
  const nn::BlockSpec block{.class_name = "Qwen2VLVisionBlock",
                            .attention_norm = layer_norm("norm1", hidden_size, kTowerEps),
                            .attention = attention(vision, hidden_size, "VisionAttention"),
                            .mlp_norm = layer_norm("norm2", hidden_size, kTowerEps),
                            .mlp = {.name = "mlp",
                                    .class_name = "VisionMlp",
                                    .activation = activation(vision, "hidden_act", "quick_gelu"),
                                    .up = {"fc1", hidden_size, width, true},
                                    .down = {"fc2", width, hidden_size, true}}};
  return qwen_vl_model(config, "qwen2_vl", "Qwen2VL",
                       tower(vision, "Qwen2VisionTransformerPretrainedModel", hidden_size, block),
                       layer_norm("ln_q", hidden_size, kTowerEps));
}

nn::ModelSpec declare_qwen2_5_vl(const Config& config) {
  const Config vision = config.child("vision_config");
  const std::int64_t hidden_size = vision.size("hidden_size", 3584);
  nn::BlockSpec block{.class_name = "Qwen2_5_VLVisionBlock",
                      .attention_norm = rms_norm("norm1", hidden_size, kTowerEps),
                      .attention = attention(vision, hidden_size, "Qwen2_5_VLVisionAttention"),
                      .mlp_norm = rms_norm("norm2", hidden_size, kTowerEps),
                      .mlp = gated_mlp("mlp", "Qwen2_5_VLMLP", activation(vision, "hidden_act", "silu"),
                                       hidden_size, vision.size("intermediate_size", 3420))};
  block.mlp.gate->bias = block.mlp.up.bias = block.mlp.down.bias = true;
  nn::VisionSpec spec = tower(vision, "Qwen2_5_VisionTransformerPretrainedModel", hidden_size, block);
  spec.window = vision.size("window_size", 112) / spec.patch_block / spec.patch_size;
  vision.require(spec.window >= 1, "window_size", "a window of the vision tower is smaller than a patch");
  const std::vector<std::int64_t> whole =
      vision.integers("fullatt_block_indexes", std::vector<std::int64_t>{7, 15, 23, 31});
  for (std::size_t i = 0; i < spec.blocks.size(); ++i)
    spec.blocks[i].attention.windowed =
        std::find(whole.begin(), whole.end(), static_cast<std::int64_t>(i)) == whole.end();
  return qwen_vl_model(config, "qwen2_5_vl", "Qwen2_5_VL", std::move(spec),
                       rms_norm("ln_q", hidden_size, kTowerEps));
}

}  // namespace farthing::models
