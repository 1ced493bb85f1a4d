#include "models/prompt.h"

#include "models/tokenizer_files.h"

namespace farthing::models {
namespace {

std::vector<std::int32_t> ids_in(const Json& config, const char* key) {
  const auto found = config.find(key);
  std::vector<std::int32_t> ids;
  if (found == config.end()) return ids;
  const Json list = found->is_array() ? *found : Json::array({*found});
  for (const Json& id : list) {
    if (id.is_number_integer()) ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

// A GGUF file names its own; the files beside it may be another model's.
std::vector<std::int32_t> find_end_of_sequence(const std::filesystem::path& model,
                                               const tokenizer::Tokenizer& tokenizer) {
  const auto own = tokenizer.special_token_with_id("eos_token");
  if (model.extension() == ".gguf" && own) return {own->id};
  const std::filesystem::path directory = folder_of(model);
  for (const char* name : {"generation_config.json", "config.json"}) {
    if (!std::filesystem::exists(directory / name)) continue;
    const Json config = read_json(directory / name);
    if (auto ids = ids_in(config, "eos_token_id"); !ids.empty()) return ids;
    if (const auto text = config.find("text_config"); text != config.end() && text->is_object()) {
      if (auto ids = ids_in(*text, "eos_token_id"); !ids.empty()) return ids;
    }
  }
  return own ? std::vector{own->id} : std::vector<std::int32_t>{};
}

// The template's own idea of content: a list of parts, or a string in which placeholders stand for pictures.
Json as_parts(const Json& content) {
  if (content.is_string()) return Json::array({Json{{"type", "text"}, {"text", content}}});
  return content;
}

Json as_string(const Json& content, const std::string& placeholder) {
  if (!content.is_array()) return content;
  std::string text;
  for (const Json& part : content) {
    const std::string type = part.value("type", "");
    if (type == "text")
      text += part.value("text", "");
    else if (type == "image" || type == "audio")
      text += placeholder + "\n";
  }
  return text;
}

// Puts the begin-of-sequence token after the pictures that begin the text, unless the text has one.
std::string with_begin(const std::string& text, const std::string& begin, const std::string& placeholder) {
  if (text.find(begin) != std::string::npos) return text;
  std::size_t at = 0;
  while (text.compare(at, placeholder.size(), placeholder) == 0) at += placeholder.size();
  return text.substr(0, at) + begin + text.substr(at);
}

std::size_t count_occurrences(const std::string& text, const std::string& pattern) {
  std::size_t count = 0;
  for (std::size_t at = text.find(pattern); at != std::string::npos;
       at = text.find(pattern, at + pattern.size()))
    ++count;
  return count;
}

}  // namespace

Json picture_question(const std::string& question, const std::string& system) {
  Json messages = Json::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back(
      {{"role", "user"},
       {"content", Json::array({{{"type", "image"}}, {{"type", "text"}, {"text", question}}})}});
  return messages;
}

PromptProcessor PromptProcessor::open(const std::filesystem::path& model,
                                      std::shared_ptr<const nn::ModelSpec> spec) {
  PromptProcessor result;
  result.spec_ = std::move(spec);
  result.tokenizer_ = std::make_shared<const tokenizer::Tokenizer>(open_tokenizer(model));
  if (auto found = open_chat_template(model)) {
    result.template_ = std::make_shared<const tokenizer::ChatTemplate>(std::move(*found));
  }
  const std::filesystem::path directory = folder_of(model);
  if (result.spec_->vision) result.images_ = image::ImageProcessor::open(directory);
  if (result.spec_->audio)
    result.sounds_ = std::make_shared<const audio::LogMelProcessor>(audio::LogMelProcessor::open(directory));
  if (result.spec_->image_token_id >= 0)
    result.picture_text_ = PictureText(result.spec_, *result.tokenizer_, directory);
  result.end_of_sequence_ids_ = find_end_of_sequence(model, *result.tokenizer_);
  if (std::filesystem::exists(directory / "generation_config.json")) {
    const Json config = read_json(directory / "generation_config.json");
    result.suppressed_ids_ = ids_in(config, "suppress_tokens");
    result.suppressed_first_ids_ = ids_in(config, "begin_suppress_tokens");
    if (!result.default_prompt().empty()) result.speech_start_ = speech_start_of(config);
  }
  return result;
}

std::string PromptProcessor::render(const Json& messages, bool add_generation_prompt) const {
  tokenizer::TemplateInputs inputs;
  inputs.add_generation_prompt = add_generation_prompt;
  for (const char* name : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    if (auto token = tokenizer_->special_token(name)) inputs.special_tokens[name] = std::move(*token);
  }
  inputs.messages = messages;
  const bool parts = template_ && template_->wants_content_parts();
  for (Json& message : inputs.messages) {
    const auto content = message.find("content");
    if (content == message.end()) continue;
    *content = parts ? as_parts(*content) : as_string(*content, placeholder());
  }
  return template_ ? template_->render(inputs) : tokenizer::render_default(inputs);
}

Prompt PromptProcessor::encode(const std::string& text, std::span<const image::Image> pictures,
                               bool add_special_tokens) const {
  FARTHING_REQUIRE(pictures.empty() || takes_pictures(), Code::kInvalidArgument,
                   "this model takes no pictures",
                   {{"architecture", spec_->architecture}, {"pictures", pictures.size()}},
                   "leave out --image, or choose a vision-language model");
  Prompt prompt;
  std::string expanded = text;
  if (takes_pictures()) {
    const std::size_t expected = count_occurrences(text, placeholder());
    FARTHING_REQUIRE(expected == pictures.size(), Code::kInvalidArgument,
                     "the prompt's picture placeholders and the pictures differ in number",
                     {{"placeholders", expected}, {"pictures", pictures.size()}},
                     fmt::format("write \"{}\" once for every --image", placeholder()));
    if (!pictures.empty()) {
      image::ProcessedImages processed = images_->process(pictures);
      expanded = picture_text_.expand(text, processed.layouts);
      expanded += spec_->placeholder.prompt_end;
      prompt.pictures = std::move(processed.tensors);
    }
  }
  const auto bos = tokenizer_->special_token("bos_token");
  if (spec_->placeholder.before_begin && add_special_tokens && bos) {
    expanded = with_begin(expanded, *bos, placeholder());
    add_special_tokens = false;
  }
  const bool begins_with_bos = bos && !bos->empty() && expanded.starts_with(*bos);
  prompt.ids = tokenizer_->encode(expanded, {.add_special_tokens = add_special_tokens && !begins_with_bos});
  return prompt;
}

Prompt PromptProcessor::encode_sounds(const std::string& text, std::span<const audio::Waveform> sounds,
                                      bool add_special_tokens) const {
  FARTHING_REQUIRE(takes_sounds(), Code::kInvalidArgument, "this model takes no sounds",
                   {{"architecture", spec_->architecture}}, "leave out --audio, or choose an audio model");
  audio::ProcessedSounds processed = sounds_->process(sounds);
  Prompt prompt;
  prompt.pictures = std::move(processed.tensors);
  if (placeholder().empty()) {
    FARTHING_REQUIRE(sounds.size() == 1, Code::kInvalidArgument, "the model hears one sound at a time",
                     {{"sounds", sounds.size()}}, "give --audio once");
    prompt.ids = tokenizer_->encode(text, {.add_special_tokens = false});
    return prompt;
  }
  const std::size_t expected = count_occurrences(text, placeholder());
  FARTHING_REQUIRE(expected == sounds.size(), Code::kInvalidArgument,
                   "the prompt's placeholders and the sounds differ in number",
                   {{"placeholders", expected}, {"sounds", sounds.size()}},
                   fmt::format("write \"{}\" once for every --audio", placeholder()));
  std::vector<std::int64_t> counts;
  for (const std::int64_t frames : processed.num_frames)
    counts.push_back((frames + 1) / 2 / spec_->audio->pool);  // the tower's second convolution halves them
  prompt.ids =
      tokenizer_->encode(picture_text_.expand(text, counts), {.add_special_tokens = add_special_tokens});
  return prompt;
}

Prompt PromptProcessor::encode_chat(const Json& messages, std::span<const image::Image> pictures,
                                    bool add_generation_prompt) const {
  return encode(render(messages, add_generation_prompt), pictures, takes_pictures());
}

}  // namespace farthing::models
