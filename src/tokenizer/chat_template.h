// The template that turns a conversation into the text of a prompt: a Jinja program that comes with the model
// and runs here as it does in transformers (immutable sandbox, trim_blocks, lstrip_blocks).
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace farthing::tokenizer {

/// What a template sees.
struct TemplateInputs {
  Json messages;   // array of {role, content}; content is a string or a list of parts
  Json tools;      // null if none
  Json documents;  // null if none
  bool add_generation_prompt = false;
  bool continue_final_message = false;  // leave the last message open: cut the text right after its content
  std::map<std::string, std::string> special_tokens;  // "bos_token" -> "<s>"; those absent are undefined
  Json variables = Json::object();                    // anything else (enable_thinking, date_string)
  std::optional<std::chrono::sys_seconds> now;        // what strftime_now shows; the local clock when absent
};

class ChatTemplate {
 public:
  /// `origin` is the file, for messages. Throws kCorruptData with the line and its text.
  explicit ChatTemplate(std::string source, std::string origin = {});

  /// Finds the template of a model folder, the newest place first: chat_template.jinja with
  /// additional_chat_templates/NAME.jinja, chat_template.json, processor_config.json, tokenizer_config.json.
  /// Of several it takes the one of that name; "tool_use" falls back to "default". Nothing when the folder
  /// has none. Throws kNotFound for a name that is not there, kCorruptData for a file or template that does
  /// not parse.
  static std::optional<ChatTemplate> open(const std::filesystem::path& directory,
                                          std::string_view name = "default");

  /// Throws kInvalidArgument with the template's own message where it calls raise_exception, and where it
  /// cannot handle the inputs; kResources when it does too much.
  std::string render(const TemplateInputs& inputs) const;

  const std::string& source() const;

  /// Whether contents have to be lists of parts, because a plain string is lost or refused. Found by
  /// rendering a probe.
  bool wants_content_parts() const;
  /// Whether contents may be lists of parts. A template can take both.
  bool accepts_content_parts() const;

  /// `messages` with every content in a form that the template takes: strings become lists of one text part,
  /// or the text parts of a list are joined with newlines. Throws kInvalidArgument for a picture that the
  /// template has no place for.
  Json adapt_messages(const Json& messages) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// The prompt for models without a template, in the form of Zephyr: "<|user|>", newline, content, eos_token,
/// newline for each message, and "<|assistant|>" with a newline at the end if a generation prompt is asked
/// for.
std::string render_default(const TemplateInputs& inputs);

}  // namespace farthing::tokenizer
