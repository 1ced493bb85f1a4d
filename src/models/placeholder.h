// How each kind of vision-language model writes a picture into the prompt: the text of one placeholder, and
// what it becomes once the picture's size is known.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "image/processor.h"
#include "nn/declaration.h"
#include "tokenizer/tokenizer.h"

namespace farthing::models {

class PictureText {
 public:
  PictureText() = default;
  /// Reads the tokens' texts from the tokenizer and, where the folder has one, processor_config.json. Throws
  /// kCorruptData for a token that the tokenizer lacks.
  PictureText(std::shared_ptr<const nn::ModelSpec> spec, const tokenizer::Tokenizer& tokenizer,
              const std::filesystem::path& directory);

  /// What stands for one picture in a text, such as "<image>".
  const std::string& placeholder() const { return placeholder_; }

  /// Replaces the k-th placeholder by as many image tokens, and the marks between them, as picture k has
  /// features. `text` has a placeholder for every layout.
  std::string expand(const std::string& text, std::span<const image::ImageLayout> layouts) const;
  /// The same for sounds, by the number of their features.
  std::string expand(const std::string& text, std::span<const std::int64_t> counts) const;

 private:
  std::string replaced(const std::string& text, std::span<const std::string> replacements) const;
  std::string tokens(std::int64_t count) const;
  std::string framed(std::int64_t count) const;
  std::string rows(std::int64_t rows, std::int64_t columns) const;
  std::string tiles(const image::ImageLayout& layout, std::int64_t count) const;
  std::string separated_tiles(const image::ImageLayout& layout, std::int64_t count) const;
  std::string picture(const image::ImageLayout& layout) const;

  std::shared_ptr<const nn::ModelSpec> spec_;
  std::string placeholder_, image_token_, before_, after_, row_break_, row_end_;
};

/// Rows of a prompt that a picture of the given size takes up, where the processor leaves the size as it is.
std::int64_t rows_of_picture(const nn::ModelSpec& spec, int height, int width);

/// Features that the model makes of a picture.
std::int64_t features_of(const nn::ModelSpec& spec, const image::ImageLayout& layout);

}  // namespace farthing::models
