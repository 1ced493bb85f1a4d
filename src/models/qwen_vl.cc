// Qwen 2-VL, 2.5-VL and 3-VL: patches of pictures of any size in squares, turned by row and column, merged
// into the decoder, whose tokens have a time, a row and a column.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/families.h"
#include "models/llama.h"
#include "models/moe_parts.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

constexpr double kTowerEps = 1e-6;  // not configurable in the reference

// Checks the sections of time, row and column, or sets those of the released models.
void set_axes(const Config& text, std::vector<nn::BlockSpec>& blocks,
              const std::vector<std::int64_t>& default_sections) {
  for (nn::BlockSpec& block : blocks) {
    nn::RopeSpec& rope = *block.attention.rope;
    if (rope.axis_sections.empty()) rope.axis_sections = default_sections;
    const std::int64_t pairs =
        std::accumulate(rope.axis_sections.begin(), rope.axis_sections.end(), std::int64_t{0});
    text.require(rope.axis_sections.size() == 3 && 2 * pairs == block.attention.head_dim, "mrope_section",
                 "the rotation should have sections for time, row and column that cover the head");
  }
}

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
  decoder.tie_word_embeddings = config.flag("tie_word_embeddings", decoder.tie_word_embeddings);
  for (nn::BlockSpec& block : decoder.blocks) add_attention_bias(block, false);
  set_axes(text, decoder.blocks, {16, 24, 24});
  set_qwen_windows(text, decoder.blocks, /*default_first=*/80);
  return decoder;
}

nn::DecoderSpec qwen3_decoder(const Config& config, const LlamaDefaults& defaults) {
  const Config text = config.child("text_config");
  nn::DecoderSpec decoder = llama_decoder(text, defaults);
  decoder.tie_word_embeddings = config.flag("tie_word_embeddings", decoder.tie_word_embeddings);
  for (nn::BlockSpec& block : decoder.blocks) {
    add_head_norms(block, text.number("rms_norm_eps", 1e-6));
    if (text.flag("attention_bias", false)) add_attention_bias(block, true);
    block.attention.rope->interleaved_axes = true;
  }
  set_axes(text, decoder.blocks, {24, 20, 20});
  return decoder;
}

nn::AttentionSpec qwen_vl_attention(const Config& config, std::int64_t hidden_size, std::string class_name) {
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
                     const nn::BlockSpec& block, std::int64_t default_depth = 32,
                     std::int64_t default_patch_size = 14) {
  const std::int64_t depth = config.num_layers("depth", default_depth);
  nn::VisionSpec vision{.path = "model.visual",
                        .class_name = std::move(class_name),
                        .input = nn::PictureInput::kPatches,
                        .hidden_size = hidden_size,
                        .num_channels = config.size(config.spelling({"in_channels", "in_chans"}), 3),
                        .patch_size = config.size("patch_size", default_patch_size),
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

// From squares of patches, as they come, to the decoder.
nn::ProjectorSpec merger(std::string path, std::string class_name, const nn::VisionSpec& vision,
                         std::int64_t hidden_size, const std::string& first, const std::string& second) {
  const std::int64_t width = vision.hidden_size * vision.patch_block * vision.patch_block;
  return {.path = std::move(path),
          .class_name = std::move(class_name),
          .merge = nn::PatchMerge::kConsecutive,
          .merge_size = vision.patch_block,
          .linears = {{first, width, width, true}, {second, width, hidden_size, true}}};
}

nn::ModelSpec qwen_vl_model(const Config& config, std::string family, const std::string& prefix,
                            nn::DecoderSpec decoder, nn::VisionSpec vision) {
  decoder.path = "model.language_model";
  nn::ModelSpec model =
      text_model(config, std::move(family), prefix + "ForConditionalGeneration", std::move(decoder));
  model.vision = std::move(vision);
  model.image_token_id = config.integer("image_token_id", 151655);
  model.names = {{"model.language_model.", "model.language_model."},
                 {"model.visual.", "model.visual."},
                 {"visual.", "model.visual."},
                 {"model.", "model.language_model."}};
  model.default_ignore = {"re:.*lm_head", "re:visual.*", "re:model.visual.*"};
  return model;
}

nn::ModelSpec with_merger(nn::ModelSpec model, const std::string& class_name, nn::NormSpec norm) {
  model.projector =
      merger("model.visual.merger", class_name, *model.vision, model.decoder.hidden_size, "mlp.0", "mlp.2");
  model.projector->norm = std::move(norm);
  return model;
}

struct ExpertDefaults {
  std::int64_t width, num_experts, experts_per_token;
};

void add_experts(const Config& text, const std::string& class_prefix, const ExpertDefaults& defaults,
                 nn::DecoderSpec& decoder) {
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::BlockSpec& block = decoder.blocks[i];
    if (!is_sparse(text, static_cast<std::int64_t>(i))) continue;
    block.moe = mixture(text, "mlp", class_prefix + "SparseMoeBlock",
                        gated_mlp("", class_prefix + "MLP", block.mlp.activation, decoder.hidden_size,
                                  text.size("moe_intermediate_size", defaults.width)),
                        text.spelling({"num_experts", "num_local_experts"}), defaults.num_experts,
                        defaults.experts_per_token);
  }
}

// How Qwen 3-VL and Qwen 3-Omni call the same things.
struct Qwen3Names {
  std::string family;
  std::string class_prefix;  // "Qwen3VL"
  std::string deepstack = "deepstack_merger_list";
  std::string norm = "norm", first = "linear_fc1", second = "linear_fc2";  // of a merger
};

// Qwen 3-VL: learned positions stretched over the picture, and layers of the tower that reach the first
// blocks.
nn::ModelSpec qwen3_vl_model(const Config& config, const Qwen3Names& names, nn::DecoderSpec decoder) {
  const std::string& prefix = names.class_prefix;
  const Config vision = config.child("vision_config");
  const std::int64_t hidden_size = vision.size("hidden_size", 1152);
  const std::int64_t width = vision.size("intermediate_size", 4304);
  const nn::BlockSpec block{.class_name = prefix + "VisionBlock",
                            .attention_norm = layer_norm("norm1", hidden_size, kTowerEps),
                            .attention = qwen_vl_attention(vision, hidden_size, prefix + "VisionAttention"),
                            .mlp_norm = layer_norm("norm2", hidden_size, kTowerEps),
                            .mlp = {.name = "mlp",
                                    .class_name = prefix + "VisionMLP",
                                    .activation = activation(vision, "hidden_act", "gelu_pytorch_tanh"),
                                    .up = {"linear_fc1", hidden_size, width, true},
                                    .down = {"linear_fc2", width, hidden_size, true}}};
  nn::VisionSpec spec = tower(vision, prefix + "VisionModel", hidden_size, block, 27, 16);
  const std::int64_t positions = vision.size("num_position_embeddings", 2304);
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(positions))));
  vision.require(side * side == positions && side <= 4096, "num_position_embeddings",
                 "the learned positions should fill a square");
  spec.patch_bias = true;
  spec.position_embedding = "pos_embed";
  spec.interpolate_positions = true;
  spec.image_size = side * spec.patch_size;
  nn::ModelSpec model = qwen_vl_model(config, names.family, prefix, std::move(decoder), std::move(spec));
  const std::int64_t out = model.decoder.hidden_size;
  model.projector = merger("model.visual.merger", prefix + "VisionPatchMerger", *model.vision, out,
                           names.first, names.second);
  model.projector->norm = layer_norm(names.norm, hidden_size, kTowerEps);
  const auto depth = static_cast<std::int64_t>(model.vision->blocks.size());
  for (const std::int64_t layer : vision.integers("deepstack_visual_indexes", {8, 16, 24})) {
    vision.require(layer >= 0 && layer < depth, "deepstack_visual_indexes",
                   "the vision tower has no such layer");
    nn::ProjectorSpec own =
        merger("model.visual." + names.deepstack + "." + std::to_string(model.deepstack.size()),
               prefix + "VisionPatchMerger", *model.vision, out, names.first, names.second);
    own.merged_norm = layer_norm(names.norm, own.linears.front().in_features, kTowerEps);
    model.deepstack.push_back(std::move(own));
    vision.require(model.deepstack.size() < model.decoder.blocks.size(), "deepstack_visual_indexes",
                   "more layers of the tower reach the decoder than it has blocks to take them");
    model.vision->feature_layers.push_back(layer + 1);
  }
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
                            .attention = qwen_vl_attention(vision, hidden_size, "VisionAttention"),
                            .mlp_norm = layer_norm("norm2", hidden_size, kTowerEps),
                            .mlp = {.name = "mlp",
                                    .class_name = "VisionMlp",
                                    .activation = activation(vision, "hidden_act", "quick_gelu"),
                                    .up = {"fc1", hidden_size, width, true},
                                    .down = {"fc2", width, hidden_size, true}}};
  return with_merger(
      qwen_vl_model(config, "qwen2_vl", "Qwen2VL", decoder(config, "Qwen2VL"),
                    tower(vision, "Qwen2VisionTransformerPretrainedModel", hidden_size, block)),
      "PatchMerger", layer_norm("ln_q", hidden_size, kTowerEps));
}

nn::ModelSpec declare_qwen2_5_vl(const Config& config) {
  const Config vision = config.child("vision_config");
  const std::int64_t hidden_size = vision.size("hidden_size", 3584);
  nn::BlockSpec block{.class_name = "Qwen2_5_VLVisionBlock",
                      .attention_norm = rms_norm("norm1", hidden_size, kTowerEps),
                      .attention = qwen_vl_attention(vision, hidden_size, "Qwen2_5_VLVisionAttention"),
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
  return with_merger(
      qwen_vl_model(config, "qwen2_5_vl", "Qwen2_5_VL", decoder(config, "Qwen2_5_VL"), std::move(spec)),
      "Qwen2_5_VLPatchMerger", rms_norm("ln_q", hidden_size, kTowerEps));
}

// The tower has a square of learned positions too, and some of its layers reach the first blocks of the
// decoder.
nn::ModelSpec declare_qwen3_vl(const Config& config) {
  nn::DecoderSpec decoder = qwen3_decoder(config, {.class_prefix = "Qwen3VLText",
                                                   .vocab_size = 151936,
                                                   .intermediate_size = 22016,
                                                   .num_key_value_heads = 32,
                                                   .head_dim = 128,
                                                   .max_position_embeddings = 128000,
                                                   .rope = {.theta = 500000.0}});
  return qwen3_vl_model(config, {.family = "qwen3_vl", .class_prefix = "Qwen3VL"}, std::move(decoder));
}

nn::ModelSpec declare_qwen3_vl_moe(const Config& config) {
  const Config text = config.child("text_config");
  nn::DecoderSpec decoder = qwen3_decoder(config, {.class_prefix = "Qwen3VLMoeText",
                                                   .vocab_size = 151936,
                                                   .hidden_size = 2048,
                                                   .intermediate_size = 5632,
                                                   .num_hidden_layers = 24,
                                                   .num_attention_heads = 16,
                                                   .num_key_value_heads = 16,
                                                   .max_position_embeddings = 128000,
                                                   .rope = {.theta = 500000.0}});
  add_experts(text, "Qwen3VLMoeText", {.width = 1408, .num_experts = 60, .experts_per_token = 4}, decoder);
  for (nn::BlockSpec& block : decoder.blocks)
    if (block.moe) block.moe->fused.transposed = block.moe->fused.any_order = true;
  nn::ModelSpec model =
      qwen3_vl_model(config, {.family = "qwen3_vl_moe", .class_prefix = "Qwen3VLMoe"}, std::move(decoder));
  model.default_ignore.push_back("re:.*mlp.gate$");
  return model;
}

nn::ModelSpec declare_qwen3_omni_moe_thinker(const Config& config) {
  const Config text = config.child("text_config");
  // The class's own defaults do not divide; released files say 128.
  const bool divides = text.size("hidden_size", 2048) % text.size("num_attention_heads", 28) == 0;
  nn::DecoderSpec decoder = qwen3_decoder(config, {.class_prefix = "Qwen3OmniMoeThinkerText",
                                                   .vocab_size = 3584,
                                                   .hidden_size = 2048,
                                                   .intermediate_size = 18944,
                                                   .num_hidden_layers = 28,
                                                   .num_attention_heads = 28,
                                                   .num_key_value_heads = 4,
                                                   .head_dim = divides ? 0 : 128,
                                                   .max_position_embeddings = 32768,
                                                   .rope = {.theta = 1e6}});
  add_experts(text, "Qwen3OmniMoeThinkerText", {.width = 768, .num_experts = 128, .experts_per_token = 8},
              decoder);
  for (nn::BlockSpec& block : decoder.blocks)
    if (block.moe) block.moe->normalize_top_k = text.flag("norm_topk_prob", true);
  nn::ModelSpec model = qwen3_vl_model(config,
                                       {.family = "qwen3_omni_moe_thinker",
                                        .class_prefix = "Qwen3OmniMoeThinker",
                                        .deepstack = "merger_list",
                                        .norm = "ln_q",
                                        .first = "mlp.0",
                                        .second = "mlp.2"},
                                       std::move(decoder));
  model.names.insert(model.names.begin(), {{"thinker.visual.", "model.visual."},
                                           {"thinker.model.", "model.language_model."},
                                           {"thinker.lm_head", "lm_head"}});
  // What hears and speaks is not run.
  model.ignored_tensors.push_back(R"((thinker\.audio_tower|audio_tower|talker|code2wav)\..*)");
  model.default_ignore = {"re:.*lm_head", "re:.*visual.*", "re:code2wav.*", "re:.*mlp.gate$"};
  return model;
}

// The thinker of the whole: it reads text and pictures and writes text.
nn::ModelSpec declare_qwen3_omni_moe(const Config& config) {
  nn::ModelSpec model = declare_qwen3_omni_moe_thinker(config.child("thinker_config"));
  model.family = "qwen3_omni_moe";
  model.architecture = "Qwen3OmniMoeForConditionalGeneration";
  return model;
}

}  // namespace farthing::models
