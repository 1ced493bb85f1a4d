// Gemma 3: norms of queries and keys, five layers with a window to one without, two rotations; with pictures,
// a SigLIP tower, averaged patches, and picture tokens that see each other.
#include <cmath>

#include "models/clip.h"
#include "models/families.h"
#include "models/gemma.h"
#include "models/parts.h"

namespace farthing::models {

nn::ModelSpec declare_gemma3_text(const Config& config) {
  nn::DecoderSpec decoder = gemma_decoder(config,
                                          {.class_prefix = "Gemma3",
                                           .vocab_size = 262208,
                                           .hidden_size = 2304,
                                           .intermediate_size = 9216,
                                           .num_hidden_layers = 26,
                                           .num_attention_heads = 8,
                                           .num_key_value_heads = 4,
                                           .head_dim = 256,
                                           .max_position_embeddings = 131072,
                                           .rope = {.theta = 1e6}},
                                          /*attention_softcap=*/0.0, /*logit_softcap=*/0.0);
  decoder.class_name = "Gemma3TextModel";
  const std::int64_t period =
      config.size(config.spelling({"sliding_window_pattern", "_sliding_window_pattern"}), 6);
  const std::vector<bool> sliding =
      sliding_layers(config, static_cast<std::int64_t>(decoder.blocks.size()),
                     [&](std::int64_t layer) { return (layer + 1) % period != 0; });
  for (std::size_t i = 0; i < decoder.blocks.size(); ++i) {
    nn::AttentionSpec& attention = decoder.blocks[i].attention;
    attention.softcap = 0.0f;  // the reference reads attn_logit_softcapping and does nothing with it
    add_head_norms(decoder.blocks[i], config.number("rms_norm_eps", 1e-6), /*weight_offset=*/1.0f);
    if (!sliding[i]) continue;
    attention.sliding_window = sliding_window(config, 4096);
    attention.rope = rope_config(config, attention.head_dim,
                                 {.theta_key = "rope_local_base_freq", .scaled = false}, "sliding_attention");
  }
  return text_model(config, "gemma3_text", "Gemma3ForCausalLM", std::move(decoder));
}

namespace {

nn::ProjectorSpec gemma3_projector(const Config& config, const nn::VisionSpec& vision,
                                   std::int64_t hidden_size) {
  const std::int64_t tokens = config.size("mm_tokens_per_image", 256);
  const auto side = static_cast<std::int64_t>(std::sqrt(static_cast<double>(tokens)));
  const std::int64_t patches = vision.image_size / vision.patch_size;
  config.require(side * side == tokens && patches % side == 0, "mm_tokens_per_image",
                 "the patches of a picture cannot be averaged to so many tokens");
  const double eps = config.child("vision_config").number("layer_norm_eps", 1e-6);
  return {.path = "model.multi_modal_projector",
          .class_name = "Gemma3MultiModalProjector",
          .merge = nn::PatchMerge::kAverage,
          .merge_size = patches / side,
          .merged_norm = rms_norm("mm_soft_emb_norm", vision.hidden_size, eps, /*weight_offset=*/1.0f),
          .linears = {{.name = "mm_input_projection_weight",
                       .in_features = vision.hidden_size,
                       .out_features = hidden_size,
                       .bare = true}}};
}

}  // namespace

nn::ModelSpec declare_gemma3(const Config& config) {
  nn::DecoderSpec decoder = composite_decoder(config, "gemma3_text");
  for (nn::BlockSpec& block : decoder.blocks) block.attention.two_way_spans = true;
  nn::ModelSpec model = text_model(config, "gemma3", "Gemma3ForConditionalGeneration", std::move(decoder));
  model.vision = siglip_tower(config.child("vision_config"), "model.vision_tower");
  model.projector = gemma3_projector(config, *model.vision, model.decoder.hidden_size);
  model.image_token_id = config.integer(config.spelling({"image_token_id", "image_token_index"}), 262144);
  const std::int64_t begin = config.integer(config.spelling({"boi_token_id", "boi_token_index"}), 255999);
  const std::int64_t end = config.integer(config.spelling({"eoi_token_id", "eoi_token_index"}), 256000);
  model.placeholder = {.layout = nn::PlaceholderSpec::Layout::kCrops,
                       .token_id = begin,
                       .before = "\n\n{" + std::to_string(begin) + "}",
                       .after = "{" + std::to_string(end) + "}\n\n"};
  model.names = composite_names("vision_tower", "multi_modal_projector");
  model.default_ignore = {"re:.*lm_head", "re:.*vision_tower.*", "re:.*multi_modal_projector.*"};
  model.sequential_targets = {model.decoder.blocks.front().class_name};
  return model;
}

}  // namespace farthing::models
