// The table of families, and finding a row in it.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/nearest_name.h"
#include "models/families.h"
#include "models/family.h"

namespace farthing::models {
namespace {

constexpr std::array kFamilies = {
    Family{"llama", "Llama 1/2/3, Vicuna, TinyLlama, SmolLM2", declare_llama},
    Family{"mistral", "Mistral, Mistral-Nemo", declare_mistral},
    Family{"llava", "LLaVA 1.5", declare_llava},
};

const Family& family_named(const std::string& model_type, const Config& config) {
  std::vector<std::string_view> known;
  for (const Family& family : kFamilies) {
    if (family.model_type == model_type) return family;
    known.push_back(family.model_type);
  }
  const std::string nearest = nearest_name(model_type, known);
  throw Error(Code::kUnsupported, "this architecture is not known",
              {{"file", config.origin()}, {"model_type", model_type}},
              (nearest.empty() ? std::string() : "did you mean " + nearest + "? ") +
                  "data-free methods (--method rtn, nf4, int8) work on any architecture");
}

}  // namespace

std::span<const Family> families() {
  return kFamilies;
}

nn::ModelSpec declare(const Config& config) {
  return family_named(config.text("model_type", ""), config).declare(config);
}

nn::DecoderSpec declare_decoder(const Config& text_config, std::string_view default_model_type,
                                std::string path, std::string lm_head_path) {
  nn::ModelSpec text =
      family_named(text_config.text("model_type", default_model_type), text_config).declare(text_config);
  FARTHING_REQUIRE(!text.vision, Code::kUnsupported, "the text part of the model is itself a composite",
                   {{"file", text_config.origin()}, {"model_type", text.family}});
  text.decoder.path = std::move(path);
  text.decoder.lm_head = std::move(lm_head_path);
  return std::move(text.decoder);
}

std::string canonical_name(const nn::ModelSpec& spec, std::string_view name) {
  for (const nn::NameRule& rule : spec.names)
    if (name.starts_with(rule.from)) return rule.to + std::string(name.substr(rule.from.size()));
  return std::string(name);
}

}  // namespace farthing::models
