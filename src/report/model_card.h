// README.md of a quantized model, as the hub shows it: what it is, how it was made, how good each part is.
#pragma once

#include <filesystem>
#include <string>

#include "plan/result.h"

namespace farthing::report {

/// What the result itself does not know.
struct ModelCardFacts {
  std::string base_model;  // as the user named it: "org/name" or a folder
  std::string license;     // as the front matter of the base model's README.md has it; empty when it has none
  std::string command;     // that makes this model again
};

/// Returns Markdown with front matter (base_model, license, tags).
std::string model_card(const plan::QuantizeResult& result, const ModelCardFacts& facts);

/// The `license` of the front matter in `directory`/README.md; empty when there is none.
std::string license_of(const std::filesystem::path& directory);

}  // namespace farthing::report
