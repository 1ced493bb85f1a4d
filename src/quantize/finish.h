// What makes a folder of weights a model that others load: config.json with the quantization block, the side
// files byte for byte, the recipe.
#pragma once

#include <filesystem>
#include <string>

#include "base/reporter.h"
#include "plan/quantize_plan.h"

namespace farthing::quantize {

/// Writes config.json and recipe.yaml and copies all side files of the source into `directory`.
void finish_directory(const plan::QuantizePlan& plan, const checkpoint::Checkpoint& source,
                      const std::filesystem::path& directory);

/// Writes the tokenizer that a GGUF file carries into `directory` as the files of a Hugging Face folder;
/// files that came along before are kept. Warns where it is of a kind that is not known here.
void write_tokenizer(const checkpoint::Checkpoint& source, const std::filesystem::path& directory,
                     Reporter& reporter);

/// The recipe as it is written: the user's own text, or what the flags meant, as an llm-compressor recipe.
std::string recipe_text(const plan::QuantizePlan& plan);

/// SHA-256 over the weight files in order of their names.
std::string sha256_of_weights(const std::filesystem::path& directory);

}  // namespace farthing::quantize
