// Idefics 3 and SmolVLM: a SigLIP tower over tiles, neighbouring patches shuffled into channels, one linear.
#include "models/clip.h"
#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

nn::ModelSpec idefics3_model(const Config& config, const std::string& family, const std::string& prefix) {
  nn::ModelSpec model = text_model(config, family, prefix + "ForConditionalGeneration",
                                   composite_decoder(config, "llama", "model.text_model"));
  model.vision = siglip_tower(config.child("vision_config"), "model.vision_model",
                              {.class_prefix = prefix + "Vision",
                               .model_type = family + "_vision",
                               .hidden_size = 1152,
                               .num_attention_heads = 16,
                               .patch_size = 32});
  model.vision->drop_blank_views = true;
  const std::int64_t scale = config.size("scale_factor", 2);
  config.require(scale <= 64, "scale_factor", "patches are merged in too large squares");
  const std::int64_t merged_width = model.vision->hidden_size * scale * scale;
  model.projector =
      nn::ProjectorSpec{.path = "model.connector",
                        .class_name = prefix + "Connector",
                        .merge = nn::PatchMerge::kSpaceToDepth,
                        .merge_size = scale,
                        .linears = {{"modality_projection.proj", merged_width, model.decoder.hidden_size}}};
  model.image_token_id = config.integer("image_token_id", 128257);
  model.placeholder = {.layout = nn::PlaceholderSpec::Layout::kTiles,
                       .before = "<fake_token_around_image>",
                       .after = "<fake_token_around_image>"};
  model.default_ignore = {"re:.*lm_head", "re:model.vision_model.*", "re:model.connector.*"};
  return model;
}

}  // namespace

nn::ModelSpec declare_idefics3(const Config& config) {
  return idefics3_model(config, "idefics3", "Idefics3");
}

nn::ModelSpec declare_smolvlm(const Config& config) {
  return idefics3_model(config, "smolvlm", "SmolVLM");
}

}  // namespace farthing::models
