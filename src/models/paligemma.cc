// PaliGemma: a SigLIP tower, one linear, and Gemma, which reads the prompt both ways.
#include "models/clip.h"
#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

// The text part's own mark of reading both ways, which Gemma by itself does not do, is this family's rule.
Config without_mark(const Config& config) {
  Json values = config.json();
  if (config.has("text_config")) values["text_config"].erase("use_bidirectional_attention");
  return Config(std::move(values), config.origin());
}

}  // namespace

nn::ModelSpec declare_paligemma(const Config& config) {
  nn::DecoderSpec decoder = composite_decoder(without_mark(config), "gemma");
  for (nn::BlockSpec& block : decoder.blocks) block.attention.two_way_spans = true;
  nn::ModelSpec model =
      text_model(config, "paligemma", "PaliGemmaForConditionalGeneration", std::move(decoder));
  model.vision = siglip_tower(config.child("vision_config"), "model.vision_tower");
  model.projector =
      nn::ProjectorSpec{.path = "model.multi_modal_projector",
                        .class_name = "PaliGemmaMultiModalProjector",
                        .linears = {{"linear", model.vision->hidden_size, model.decoder.hidden_size, true}}};
  model.image_token_id = config.integer(config.spelling({"image_token_id", "image_token_index"}), 256000);
  model.two_way_prompt = true;
  model.placeholder = {.prompt_end = "\n", .before_begin = true};
  model.names = composite_names("vision_tower", "multi_modal_projector");
  model.default_ignore = {"re:.*lm_head", "re:.*vision_tower.*", "re:.*multi_modal_projector.*"};
  return model;
}

}  // namespace farthing::models
