#include "image/processor.h"

#include <algorithm>

#include "base/error.h"
#include "image/kinds.h"

namespace farthing::image {
namespace {

struct Kind {
  std::string_view type;
  std::unique_ptr<ImageProcessor> (*make)(std::string_view type, const Json& config);
};

constexpr Kind kKinds[] = {
    {"BlipImageProcessor", make_clip_processor},  {"CLIPImageProcessor", make_clip_processor},
    {"LlavaImageProcessor", make_clip_processor}, {"SiglipImageProcessor", make_clip_processor},
    {"ViTImageProcessor", make_clip_processor},
};

// "CLIPImageProcessorFast" and "CLIPImageProcessorPil" compute the same thing by other means, and
// "CLIPFeatureExtractor" is what the class was called once.
std::string base_type(std::string type) {
  for (const std::string_view suffix : {"Fast", "Pil"})
    if (type.ends_with(suffix)) type.resize(type.size() - suffix.size());
  constexpr std::string_view kOldSuffix = "FeatureExtractor";
  if (type.ends_with(kOldSuffix))
    type.replace(type.size() - kOldSuffix.size(), kOldSuffix.size(), "ImageProcessor");
  return type;
}

std::string string_at(const Json& config, std::string_view key) {
  const auto it = config.find(key);
  return it != config.end() && it->is_string() ? it->get<std::string>() : std::string();
}

Json read_settings(const std::filesystem::path& directory) {
  const std::filesystem::path whole = directory / "processor_config.json";
  if (std::filesystem::exists(whole)) {
    const Json config = read_json(whole);
    if (const auto it = config.find("image_processor"); it != config.end() && it->is_object()) {
      Json settings = *it;
      if (!settings.contains("processor_class"))
        settings["processor_class"] = string_at(config, "processor_class");
      return settings;
    }
  }
  const std::filesystem::path own = directory / "preprocessor_config.json";
  FARTHING_REQUIRE(std::filesystem::exists(own), Code::kNotFound,
                   "the checkpoint does not say how pictures are prepared", {{"file", own.string()}},
                   "copy preprocessor_config.json of the original model into the checkpoint");
  return read_json(own);
}

}  // namespace

std::unique_ptr<ImageProcessor> ImageProcessor::open(const std::filesystem::path& model_directory) {
  return create(read_settings(model_directory));
}

std::unique_ptr<ImageProcessor> ImageProcessor::create(const Json& preprocessor_config) {
  std::string type = string_at(preprocessor_config, "image_processor_type");
  if (type.empty()) type = string_at(preprocessor_config, "feature_extractor_type");
  const std::string base = base_type(type);
  const auto* kind = std::ranges::find(kKinds, base, &Kind::type);
  FARTHING_REQUIRE(
      kind != std::end(kKinds), Code::kUnsupported, "unknown kind of image processor",
      {{"image_processor_type", type.empty() ? "missing" : type},
       {"known", fmt::format("{}", fmt::join(known_processor_types(), ", "))}},
      "set image_processor_type in preprocessor_config.json to a known type if one computes the same");
  return kind->make(kind->type, preprocessor_config);
}

std::vector<std::string_view> known_processor_types() {
  std::vector<std::string_view> types;
  for (const Kind& kind : kKinds) types.push_back(kind.type);
  return types;
}

}  // namespace farthing::image
