#include "image/processor.h"

#include <algorithm>

#include "base/error.h"
#include "image/kinds.h"

namespace farthing::image {
namespace {

struct Kind {
  std::string_view type;
  std::unique_ptr<ImageProcessor> (*make)(const Settings&);
};

constexpr Kind kKinds[] = {
    {"BlipImageProcessor", make_clip_processor},
    {"CLIPImageProcessor", make_clip_processor},
    {"Gemma3ImageProcessor", make_gemma3_processor},
    {"GotOcr2ImageProcessor", make_got_ocr2_processor},
    {"Idefics3ImageProcessor", make_idefics3_processor},
    {"Llama4ImageProcessor", make_llama4_processor},
    {"LlavaImageProcessor", make_clip_processor},
    {"LlavaNextImageProcessor", make_llava_next_processor},
    {"LlavaOnevisionImageProcessor", make_llava_next_processor},
    {"MllamaImageProcessor", make_mllama_processor},
    {"Phi3VImageProcessor", make_phi3_v_processor},
    {"PixtralImageProcessor", make_pixtral_processor},
    {"Qwen2VLImageProcessor", make_qwen2_vl_processor},
    {"Qwen2_5_VLImageProcessor", make_qwen2_vl_processor},
    {"SiglipImageProcessor", make_clip_processor},
    {"SmolVLMImageProcessor", make_idefics3_processor},
    {"ViTImageProcessor", make_clip_processor},
};

// "CLIPImageProcessorFast" and "CLIPImageProcessorPil" compute the same thing by other means, and
// "CLIPFeatureExtractor" is what the class was called once.
std::string base_type(std::string_view type) {
  for (const std::string_view suffix : {"Fast", "Pil"})
    if (type.ends_with(suffix)) type.remove_suffix(suffix.size());
  constexpr std::string_view kOldSuffix = "FeatureExtractor";
  if (!type.ends_with(kOldSuffix)) return std::string(type);
  return fmt::format("{}ImageProcessor", type.substr(0, type.size() - kOldSuffix.size()));
}

std::string string_at(const Json& config, std::string_view key) {
  const auto it = config.find(key);
  return it != config.end() && it->is_string() ? it->get<std::string>() : std::string();
}

}  // namespace

std::unique_ptr<ImageProcessor> ImageProcessor::open(const std::filesystem::path& model_directory) {
  const std::filesystem::path whole = model_directory / "processor_config.json";
  const Json processor = std::filesystem::exists(whole) ? read_json(whole) : Json::object();
  if (const auto it = processor.find("image_processor"); it != processor.end() && it->is_object())
    return create(*it, processor);
  const std::filesystem::path own = model_directory / "preprocessor_config.json";
  FARTHING_REQUIRE(std::filesystem::exists(own), Code::kNotFound,
                   "the checkpoint does not say how pictures are prepared", {{"file", own.string()}},
                   "copy preprocessor_config.json of the original model into the checkpoint");
  return create(read_json(own), processor);
}

std::unique_ptr<ImageProcessor> ImageProcessor::create(const Json& preprocessor_config,
                                                       const Json& processor_config) {
  std::string type = string_at(preprocessor_config, "image_processor_type");
  if (type.empty()) type = string_at(preprocessor_config, "feature_extractor_type");
  const std::string base = base_type(type);
  const auto* kind = std::ranges::find(kKinds, base, &Kind::type);
  FARTHING_REQUIRE(
      kind != std::end(kKinds), Code::kUnsupported, "unknown kind of image processor",
      {{"image_processor_type", type.empty() ? "missing" : type},
       {"known", fmt::format("{}", fmt::join(known_processor_types(), ", "))}},
      "set image_processor_type in preprocessor_config.json to a known type if one computes the same");
  return kind->make({kind->type, preprocessor_config, processor_config});
}

std::vector<std::string_view> known_processor_types() {
  std::vector<std::string_view> types;
  for (const Kind& kind : kKinds) types.push_back(kind.type);
  return types;
}

}  // namespace farthing::image
