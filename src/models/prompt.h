// From what people write (a text, a chat, pictures) to what a model reads (ids and the processor's tensors):
// tokenizer, chat template, image processor and the family's picture placeholders, used alike by run, chat,
// eval and calibration.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audio/log_mel.h"

#include "image/image.h"
#include "image/processor.h"
#include "models/model.h"
#include "models/placeholder.h"
#include "models/speech_start.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace farthing::models {

/// A prompt ready for Model::prepare.
struct Prompt {
  std::vector<std::int32_t> ids;  // placeholders of pictures and sounds expanded
  PictureTensors pictures;        // the processor's tensors; empty without pictures and sounds
};

/// The chat that asks `question` about one picture, after a system message when there is one.
Json picture_question(const std::string& question, const std::string& system = "");

class PromptProcessor {
 public:
  /// Opens tokenizer, template and image processor of a model folder or weight file. Only the tokenizer must
  /// be there.
  static PromptProcessor open(const std::filesystem::path& model, std::shared_ptr<const nn::ModelSpec> spec);

  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }
  bool has_template() const { return template_ != nullptr; }
  bool takes_pictures() const { return images_ != nullptr; }
  bool takes_sounds() const { return sounds_ != nullptr; }
  /// How this model's pictures want to be decoded.
  image::DecodeOptions decode_options() const {
    return images_ ? images_->decode_options() : image::DecodeOptions{};
  }

  /// Renders a chat. `messages` is a list of {role, content}, content a string or a list of {type:
  /// text|image, ...}; it is turned into the form the template wants. Models without a template get the
  /// field's plain default.
  std::string render(const Json& messages, bool add_generation_prompt) const;

  /// Encodes a text that may hold the family's picture placeholder, once per picture and in order. Throws
  /// kInvalidArgument when they differ in number. `add_special_tokens` adds those of the tokenizer's
  /// post-processor, unless the text begins with <bos> already.
  Prompt encode(const std::string& text, std::span<const image::Image> pictures,
                bool add_special_tokens) const;

  /// render() and encode() in one. Special tokens are left to the template, except for models with pictures,
  /// whose processors add them.
  Prompt encode_chat(const Json& messages, std::span<const image::Image> pictures,
                     bool add_generation_prompt) const;

  /// The same with sounds. A model that only writes down what it hears has no placeholder, and its prompt is
  /// taken as it is, without the tokenizer's special tokens.
  Prompt encode_sounds(const std::string& text, std::span<const audio::Waveform> sounds,
                       bool add_special_tokens) const;

  /// What a model that is given nothing but a sound begins with. Empty for others.
  const std::string& default_prompt() const { return spec_->default_prompt; }
  /// The same as its generation_config.json has it, which goes before; nothing where that is silent.
  const std::optional<SpeechStart>& speech_start() const { return speech_start_; }

  /// The text that stands for one picture or sound, "<image>". Empty for text models.
  const std::string& placeholder() const { return picture_text_.placeholder(); }

  /// Ids that generation_config.json rules out: everywhere, and at the beginning of an answer.
  const std::vector<std::int32_t>& suppressed_ids() const { return suppressed_ids_; }
  const std::vector<std::int32_t>& suppressed_first_ids() const { return suppressed_first_ids_; }

  /// The model's end-of-sequence ids: generation_config.json, else config.json, else the tokenizer.
  const std::vector<std::int32_t>& end_of_sequence_ids() const { return end_of_sequence_ids_; }

 private:
  std::shared_ptr<const nn::ModelSpec> spec_;
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::shared_ptr<const tokenizer::ChatTemplate> template_;
  std::shared_ptr<const image::ImageProcessor> images_;
  std::shared_ptr<const audio::LogMelProcessor> sounds_;
  PictureText picture_text_;
  std::vector<std::int32_t> end_of_sequence_ids_, suppressed_ids_, suppressed_first_ids_;
  std::optional<SpeechStart> speech_start_;
};

}  // namespace farthing::models
