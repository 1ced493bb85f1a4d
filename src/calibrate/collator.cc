#include "calibrate/collator.h"

#include <array>

#include "base/error.h"

namespace farthing::calibrate {
namespace {

std::vector<image::Image> open_pictures(const Record& record, const image::DecodeOptions& options) {
  std::vector<image::Image> pictures;
  for (const auto& path : record.images) pictures.push_back(image::open(path, options));
  for (const auto& [name, bytes] : record.embedded_images)
    pictures.push_back(image::decode(std::as_bytes(std::span(bytes)), name, options));
  return pictures;
}

std::vector<audio::Waveform> open_sounds(const Record& record) {
  std::vector<audio::Waveform> sounds;
  for (const auto& path : record.sounds) sounds.push_back(audio::open(path));
  return sounds;
}

// The chat about sounds of a record that only says what they say.
Json chat_about_sounds(const Record& record) {
  Json content = Json::array();
  for (std::size_t i = 0; i < record.sounds.size(); ++i) content.push_back({{"type", "audio"}});
  content.push_back({{"type", "text"}, {"text", "What did the person say?"}});
  return Json::array(
      {{{"role", "user"}, {"content", content}},
       {{"role", "assistant"}, {"content", Json::array({{{"type", "text"}, {"text", record.text}}})}}});
}

bool ends_with_user(const Json& messages) {
  return !messages.empty() && messages.back().value("role", "") == "user";
}

// Whatever the record holds, as the model's own template and tokenizer write it.
Sample collate_general(const Record& record, const models::PromptProcessor& processor,
                       const CollatorOptions& options) {
  Sample sample{.origin = record.origin};
  if (!record.ids.empty()) {
    sample.prompt.ids = record.ids;
  } else if (!record.sounds.empty()) {
    const Json messages = record.messages.is_null() ? chat_about_sounds(record) : record.messages;
    sample.prompt = processor.encode_sounds(processor.render(messages, ends_with_user(messages)),
                                            open_sounds(record), true);
  } else if (record.messages.is_null()) {
    FARTHING_REQUIRE(record.text.find_first_not_of(" \t\r\n") != std::string::npos, Code::kInvalidArgument,
                     "the text is empty");
    sample.prompt = processor.encode(record.text, {}, true);
  } else {
    FARTHING_REQUIRE(!record.messages.empty(), Code::kInvalidArgument, "the chat is empty");
    const std::vector<image::Image> pictures = open_pictures(record, processor.decode_options());
    sample.prompt = processor.encode_chat(record.messages, pictures,
                                          options.add_generation_prompt && ends_with_user(record.messages));
  }
  const auto length = static_cast<std::int64_t>(sample.prompt.ids.size());
  FARTHING_REQUIRE(length > 0, Code::kInvalidArgument, "empty sample");
  // A cut through a picture's tokens would leave features without a place, so such a prompt is turned away
  // instead.
  FARTHING_REQUIRE(sample.prompt.pictures.empty() || length <= options.sequence_length,
                   Code::kInvalidArgument, "prompt with a picture is longer than the sequence length",
                   {{"tokens", length}, {"sequence_length", options.sequence_length}});
  return sample;
}

// LLaVA's template reads only lists of parts; content given as a plain string would silently vanish from the
// prompt.
Sample collate_llava(const Record& record, const models::PromptProcessor& processor,
                     const CollatorOptions& options) {
  Record adapted = record;
  if (adapted.messages.is_array()) {
    for (Json& message : adapted.messages) {
      if (message.contains("content") && message["content"].is_string()) {
        message["content"] = Json::array({{{"type", "text"}, {"text", message["content"]}}});
      }
    }
  }
  return collate_general(adapted, processor, options);
}

// Whisper writes down what it hears: its own first tokens, then the text with a capital.
Sample collate_whisper(const Record& record, const models::PromptProcessor& processor,
                       const CollatorOptions& options) {
  FARTHING_REQUIRE(!record.sounds.empty(), Code::kInvalidArgument, "the record has no sound", {},
                   R"(give each record an "audio" and what it says as "text")");
  std::string text = record.text;
  if (!text.empty() && text.front() >= 'a' && text.front() <= 'z') text.front() += 'A' - 'a';
  Sample sample{.origin = record.origin,
                .prompt = processor.encode_sounds(processor.default_prompt() + " " + text + "<|endoftext|>",
                                                  open_sounds(record), false)};
  const auto limit = static_cast<std::size_t>(options.sequence_length);
  if (sample.prompt.ids.size() > limit) sample.prompt.ids.resize(limit);
  return sample;
}

constexpr std::array kCollators = {
    Collator{"general", "the model's own chat template and tokenizer", collate_general},
    Collator{"llava", "content always as parts, pictures before the text of their turn", collate_llava},
    Collator{"whisper", "the sound, and what it says after the model's own first tokens", collate_whisper},
};

}  // namespace

std::span<const Collator> collators() {
  return kCollators;
}

const Collator& find_collator(std::string_view name, std::string_view family) {
  const std::string_view wanted = name.empty() ? family : name;
  for (const Collator& collator : kCollators) {
    if (collator.name == wanted) return collator;
  }
  if (name.empty()) return kCollators.front();
  std::vector<std::string_view> names;
  for (const Collator& collator : kCollators) names.push_back(collator.name);
  throw Error(Code::kInvalidArgument, "unknown collator", {{"collator", name}},
              fmt::format("choose one of {}", fmt::join(names, ", ")));
}

}  // namespace farthing::calibrate
