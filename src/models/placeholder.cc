#include "models/placeholder.h"

#include "base/error.h"
#include "base/json.h"

namespace farthing::models {
namespace {

// CLIP-like towers give every picture the same number of features: its patches, and the class token if it is
// kept.
std::int64_t features_of(const nn::VisionSpec& vision) {
  const std::int64_t side = vision.image_size / vision.patch_size;
  return side * side + (!vision.class_embedding.empty() && !vision.drop_class_token ? 1 : 0);
}

}  // namespace

std::string placeholder_text(const nn::ModelSpec& spec, const tokenizer::Tokenizer& tokenizer,
                             const std::filesystem::path& directory) {
  if (const auto file = directory / "processor_config.json"; std::filesystem::exists(file)) {
    const Json config = read_json(file);
    if (const auto token = config.find("image_token"); token != config.end() && token->is_string())
      return *token;
  }
  const auto token = tokenizer.token(static_cast<std::int32_t>(spec.image_token_id));
  FARTHING_REQUIRE(token, Code::kCorruptData, "the image token of config.json is not in the tokenizer",
                   {{"image_token_id", spec.image_token_id}, {"folder", directory.string()}},
                   "the tokenizer files may belong to another model; fetch them again");
  return *token;
}

std::string expand_placeholders(const nn::ModelSpec& spec, const tokenizer::Tokenizer& tokenizer,
                                const std::string& text, const std::string& placeholder,
                                std::span<const image::ImageLayout> layouts) {
  const auto image_token =
      tokenizer.token(static_cast<std::int32_t>(spec.image_token_id)).value_or(placeholder);
  std::string result;
  std::size_t from = 0;
  for (std::size_t picture = 0; picture < layouts.size(); ++picture) {
    const std::size_t at = text.find(placeholder, from);
    FARTHING_CHECK(at != std::string::npos);
    result += text.substr(from, at - from);
    for (std::int64_t i = 0; i < features_of(*spec.vision); ++i) result += image_token;
    from = at + placeholder.size();
  }
  return result + text.substr(from);
}

}  // namespace farthing::models
