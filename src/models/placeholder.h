// How each kind of vision-language model writes a picture into the prompt: the text of one placeholder, and
// what it becomes once the picture's size is known.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "image/processor.h"
#include "nn/declaration.h"
#include "tokenizer/tokenizer.h"

namespace farthing::models {

/// The text of one placeholder, such as "<image>": processor_config.json, else the token with the declared
/// id.
std::string placeholder_text(const nn::ModelSpec& spec, const tokenizer::Tokenizer& tokenizer,
                             const std::filesystem::path& directory);

/// Replaces the k-th placeholder by as many image tokens, and the marks between them, as picture k has
/// features.
std::string expand_placeholders(const nn::ModelSpec& spec, const tokenizer::Tokenizer& tokenizer,
                                const std::string& text, const std::string& placeholder,
                                std::span<const image::ImageLayout> layouts);

}  // namespace farthing::models
