// LLaVA 1.5 and LLaVA-NeXT: a CLIP tower, a two-layer projector and a text decoder of any registered family.
#include "models/llava.h"

#include "base/error.h"
#include "models/clip.h"
#include "models/families.h"
#include "models/parts.h"
#include "models/pixtral.h"

namespace farthing::models {
namespace {

// Without a vision_config the class default is CLIP ViT-L/14 at 336 pixels, or SigLIP So400m/14 at 384; with
// one, its missing keys are the tower's own.
Config vision_config(const Config& config, const std::string& type) {
  if (config.has("vision_config")) return config.child("vision_config");
  if (type == "siglip_vision_model")
    return Config({{"model_type", type},
                   {"hidden_size", 1152},
                   {"intermediate_size", 4304},
                   {"num_hidden_layers", 26},
                   {"num_attention_heads", 16},
                   {"image_size", 384},
                   {"patch_size", 14}},
                  config.origin() + ": vision_config");
  return Config({{"model_type", "clip_vision_model"},
                 {"hidden_size", 1024},
                 {"intermediate_size", 4096},
                 {"num_hidden_layers", 24},
                 {"num_attention_heads", 16},
                 {"image_size", 336},
                 {"patch_size", 14}},
                config.origin() + ": vision_config");
}

std::vector<std::int64_t> feature_layers(const Config& config, std::int64_t num_layers,
                                         std::int64_t fallback) {
  constexpr std::string_view kKey = "vision_feature_layer";
  std::vector<std::int64_t> layers;
  if (config.has(kKey) && config.json()[kKey].is_array()) {
    for (const Json& layer : config.json()[kKey]) {
      config.require(layer.is_number_integer(), kKey, "a configuration value should be an integer");
      layers.push_back(layer.get<std::int64_t>());
    }
  } else {
    layers.push_back(config.integer(kKey, fallback));
  }
  config.require(!layers.empty(), kKey, "no layer of the vision tower is chosen");
  for (const std::int64_t layer : layers)
    config.require(layer >= -num_layers - 1 && layer <= num_layers, kKey,
                   "the vision tower has no such layer");
  return layers;
}

nn::VisionSpec tower(const Config& config, const std::string& type, std::string path) {
  if (type == "clip_vision_model") return clip_tower(config, std::move(path));
  if (type == "siglip_vision_model") return siglip_tower(config, std::move(path));
  if (type == "pixtral") return pixtral_tower(config, std::move(path));
  throw Error(Code::kUnsupported, "the vision tower of this model is not known",
              {{"file", config.origin()}, {"model_type", type}},
              "known in LLaVA: clip_vision_model, siglip_vision_model, pixtral");
}

nn::VisionSpec vision(const Config& config, const LlavaDefaults& defaults) {
  const Config block = vision_config(config, defaults.vision_type);
  nn::VisionSpec spec = tower(block, block.text("model_type", defaults.vision_type), "model.vision_tower");
  spec.post_norm = {};  // features are taken before it, also those of the last layer
  spec.feature_layers =
      feature_layers(config, static_cast<std::int64_t>(spec.blocks.size()), defaults.feature_layer);
  const std::string strategy = config.text("vision_feature_select_strategy", defaults.strategy);
  config.require(strategy == "default" || strategy == "full", "vision_feature_select_strategy",
                 "the choice of vision features should be default or full");
  spec.drop_class_token = strategy == "default";
  return spec;
}

nn::ProjectorSpec projector(const Config& config, const nn::VisionSpec& vision, std::int64_t hidden_size,
                            const LlavaDefaults& defaults) {
  const auto width = vision.hidden_size * static_cast<std::int64_t>(vision.feature_layers.size());
  const bool bias = config.flag("multimodal_projector_bias", defaults.projector_bias);
  return {.path = "model.multi_modal_projector",
          .class_name = defaults.class_prefix + "MultiModalProjector",
          .linears = {{"linear_1", width, hidden_size, bias}, {"linear_2", hidden_size, hidden_size, bias}},
          .activation = activation(config, "projector_hidden_act", "gelu")};
}

// Canvases (height, width) that a picture may be fitted into, each whole tiles.
std::vector<std::pair<std::int64_t, std::int64_t>> canvases(
    const Config& config, std::int64_t tile, std::vector<std::pair<std::int64_t, std::int64_t>> fallback) {
  constexpr std::string_view kKey = "image_grid_pinpoints";
  constexpr std::int64_t kMostTiles = 64;  // per side
  if (!config.has(kKey)) return fallback;
  std::vector<std::pair<std::int64_t, std::int64_t>> result;
  const Json points = config.json()[kKey].is_array() ? config.json()[kKey] : Json::array();
  for (const Json& point : points) {
    config.require(
        point.is_array() && point.size() == 2 && point[0].is_number_integer() && point[1].is_number_integer(),
        kKey, "a canvas should be a height and a width");
    result.emplace_back(point[0].get<std::int64_t>(), point[1].get<std::int64_t>());
    for (const std::int64_t edge : {result.back().first, result.back().second})
      config.require(edge >= tile && edge % tile == 0 && edge / tile <= kMostTiles, kKey,
                     "a canvas should be whole tiles of the tower's image_size");
  }
  config.require(!result.empty(), kKey, "no canvas for the tiles is given");
  return result;
}

// How many tiles "anyres_max_9" allows.
std::int64_t most_tiles(const Config& config) {
  constexpr std::string_view kKey = "vision_aspect_ratio", kPrefix = "anyres_max_";
  const std::string ratio = config.text(kKey, "anyres_max_9");
  const std::string number = ratio.starts_with(kPrefix) ? ratio.substr(kPrefix.size()) : "";
  config.require(!number.empty() && number.size() <= 3 &&
                     number.find_first_not_of("0123456789") == std::string::npos && number != "0",
                 kKey, "the kind of tiling should be anyres_max_N");
  return std::stoll(number);
}

// The canvases of up to 6 by 6 tiles that LLaVA-OneVision's configuration class has.
std::vector<std::pair<std::int64_t, std::int64_t>> square_canvases() {
  std::vector<std::pair<std::int64_t, std::int64_t>> result;
  for (std::int64_t rows = 1; rows <= 6; ++rows)
    for (std::int64_t columns = 1; columns <= 6; ++columns) result.emplace_back(384 * rows, 384 * columns);
  return result;
}

void add_tile_map(const Config& config, std::vector<std::pair<std::int64_t, std::int64_t>> default_canvases,
                  nn::ModelSpec& model) {
  config.require(model.vision->input == nn::PictureInput::kViews &&
                     (model.vision->drop_class_token || model.vision->class_embedding.empty()),
                 "vision_feature_select_strategy",
                 "tiles can be joined only where all have the same size and no class token");
  model.tile_map = nn::TileMapSpec{"model.image_newline",
                                   canvases(config, model.vision->image_size, std::move(default_canvases))};
  model.names.push_back({"image_newline", "model.image_newline"});
}

}  // namespace

nn::ModelSpec llava_model(const Config& config, const LlavaDefaults& defaults) {
  nn::ModelSpec model =
      text_model(config, defaults.family, defaults.class_prefix + "ForConditionalGeneration",
                 composite_decoder(config, defaults.text_type));
  model.vision = vision(config, defaults);
  model.projector = projector(config, *model.vision, model.decoder.hidden_size, defaults);
  model.image_token_id =
      config.integer(config.spelling({"image_token_id", "image_token_index"}), defaults.image_token_id);
  if (model.vision->input == nn::PictureInput::kAnySize)
    model.placeholder = {
        .layout = nn::PlaceholderSpec::Layout::kRows, .row_break = "[IMG_BREAK]", .row_end = "[IMG_END]"};
  model.names = composite_names("vision_tower", "multi_modal_projector");
  // The tower's final norm is in the files though no feature comes from behind it.
  model.ignored_tensors.push_back(R"(.*vision_tower\..*post_layernorm\..*)");
  model.default_ignore = {"re:.*lm_head", "re:.*vision_tower.*", "re:.*multi_modal_projector.*"};
  return model;
}

nn::ModelSpec declare_llava(const Config& config) {
  return llava_model(config, {.family = "llava", .class_prefix = "Llava"});
}

// The same with the picture in tiles, and a learned newline after every row of their joined map.
nn::ModelSpec declare_llava_next(const Config& config) {
  nn::ModelSpec model = llava_model(config, {.family = "llava_next", .class_prefix = "LlavaNext"});
  add_tile_map(config, {{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}}, model);
  return model;
}

nn::ModelSpec declare_llava_onevision(const Config& config) {
  nn::ModelSpec model = llava_model(config, {.family = "llava_onevision",
                                             .class_prefix = "LlavaOnevision",
                                             .text_type = "qwen2",
                                             .vision_type = "siglip_vision_model",
                                             .feature_layer = -1,
                                             .strategy = "full",
                                             .image_token_id = 151646});
  add_tile_map(config, square_canvases(), model);
  model.tile_map->most_tiles = most_tiles(config);
  return model;
}

}  // namespace farthing::models
