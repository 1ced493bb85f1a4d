// LLaVA 1.5: a CLIP tower, a two-layer projector and a text decoder of any registered family.
#include "base/error.h"
#include "models/clip.h"
#include "models/families.h"
#include "models/family.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

// Without a vision_config the class default is CLIP ViT-L/14 at 336 pixels; with one, its missing keys are
// CLIP's own.
Config vision_config(const Config& config) {
  if (config.has("vision_config")) return config.child("vision_config");
  return Config({{"model_type", "clip_vision_model"},
                 {"hidden_size", 1024},
                 {"intermediate_size", 4096},
                 {"num_hidden_layers", 24},
                 {"num_attention_heads", 16},
                 {"image_size", 336},
                 {"patch_size", 14}},
                config.origin() + ": vision_config");
}

std::vector<std::int64_t> feature_layers(const Config& config, std::int64_t num_layers) {
  constexpr std::string_view kKey = "vision_feature_layer";
  std::vector<std::int64_t> layers;
  if (config.has(kKey) && config.json()[kKey].is_array()) {
    for (const Json& layer : config.json()[kKey]) {
      config.require(layer.is_number_integer(), kKey, "a configuration value should be an integer");
      layers.push_back(layer.get<std::int64_t>());
    }
  } else {
    layers.push_back(config.integer(kKey, -2));
  }
  config.require(!layers.empty(), kKey, "no layer of the vision tower is chosen");
  for (const std::int64_t layer : layers)
    config.require(layer >= -num_layers - 1 && layer <= num_layers, kKey,
                   "the vision tower has no such layer");
  return layers;
}

nn::VisionSpec vision(const Config& config) {
  const Config tower = vision_config(config);
  const std::string type = tower.text("model_type", "clip_vision_model");
  FARTHING_REQUIRE(type == "clip_vision_model", Code::kUnsupported,
                   "the vision tower of this model is not known",
                   {{"file", config.origin()}, {"model_type", type}}, "known in LLaVA: clip_vision_model");
  nn::VisionSpec spec = clip_tower(tower, "model.vision_tower");
  spec.feature_layers = feature_layers(config, static_cast<std::int64_t>(spec.blocks.size()));
  const std::string strategy = config.text("vision_feature_select_strategy", "default");
  config.require(strategy == "default" || strategy == "full", "vision_feature_select_strategy",
                 "the choice of vision features should be default or full");
  spec.drop_class_token = strategy == "default";
  return spec;
}

nn::ProjectorSpec projector(const Config& config, const nn::VisionSpec& vision, std::int64_t hidden_size) {
  const auto width = vision.hidden_size * static_cast<std::int64_t>(vision.feature_layers.size());
  const bool bias = config.flag("multimodal_projector_bias", true);
  return {.path = "model.multi_modal_projector",
          .class_name = "LlavaMultiModalProjector",
          .linears = {{"linear_1", width, hidden_size, bias}, {"linear_2", hidden_size, hidden_size, bias}},
          .activation = activation(config, "projector_hidden_act", "gelu")};
}

}  // namespace

nn::ModelSpec declare_llava(const Config& config) {
  nn::DecoderSpec decoder =
      declare_decoder(config.child("text_config"), "llama", "model.language_model", "lm_head");
  if (!config.child("text_config").has("tie_word_embeddings"))
    decoder.tie_word_embeddings = config.flag("tie_word_embeddings", decoder.tie_word_embeddings);
  nn::ModelSpec model = text_model(config, "llava", "LlavaForConditionalGeneration", std::move(decoder));
  model.vision = vision(config);
  model.projector = projector(config, *model.vision, model.decoder.hidden_size);
  model.image_token_id =
      config.integer(config.has("image_token_id") ? "image_token_id" : "image_token_index", 32000);
  model.names = {{"model.vision_tower.vision_model.", "model.vision_tower."},
                 {"vision_tower.vision_model.", "model.vision_tower."},
                 {"vision_tower.", "model.vision_tower."},
                 {"multi_modal_projector.", "model.multi_modal_projector."},
                 {"language_model.model.", "model.language_model."},
                 {"language_model.lm_head", "lm_head"}};
  model.ignored_tensors.push_back(R"(.*vision_tower\..*post_layernorm\..*)");
  model.default_ignore = {"re:.*lm_head", "re:.*vision_tower.*", "re:.*multi_modal_projector.*"};
  return model;
}

}  // namespace farthing::models
