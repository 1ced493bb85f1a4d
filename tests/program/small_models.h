// Small models of every family, made when a test asks: weights follow a formula, the tokenizer knows single
// letters, pictures and sounds are drawn from numbers.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "nn/declaration.h"

namespace farthing::program {

/// The configuration of a small model of the family: the golden case's, or one of its own. Throws for a
/// family that has neither.
Json small_config(const std::string& family);

/// Writes configuration, weights, tokenizer and processor files into the folder and returns what the
/// configuration declares.
nn::ModelSpec write_small_model(const std::filesystem::path& folder, const Json& config);

/// What stands for a picture or sound in the prompts of a small model.
std::string placeholder_of(const nn::ModelSpec& spec);

/// Letters that every small tokenizer knows, in an order without a pattern.
std::string letters(std::size_t count, unsigned seed);

/// A picture of noise, 24 bits per pixel.
void write_bmp(const std::filesystem::path& file, int width, int height);

/// Noise as long as the small model hears.
void write_wav(const std::filesystem::path& file, const nn::ModelSpec& spec);

}  // namespace farthing::program
