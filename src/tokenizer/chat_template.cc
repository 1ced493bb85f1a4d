#include "tokenizer/chat_template.h"

#include <mutex>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/jinja/template.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer {
namespace {

namespace fs = std::filesystem;

// A text that no template contains by itself.
constexpr const char* kProbe = "Farthing asks: which shape of content arrives?";

struct Source {
  std::string text;
  std::string origin;
};
using Sources = std::map<std::string, Source>;  // by name

// The value of "chat_template" in a JSON file: one template, a list of named ones, or a dict of them.
Sources read_config(const fs::path& file) {
  Sources found;
  if (!fs::exists(file)) return found;
  const Json config = read_json(file);
  const auto entry = config.is_object() ? config.find("chat_template") : config.end();
  if (!config.is_object() || entry == config.end() || entry->is_null()) return found;
  const auto add = [&](const Json& name, const Json& text) {
    FARTHING_REQUIRE(name.is_string() && text.is_string(), Code::kCorruptData,
                     "a chat template is not a string", {{"file", file.string()}}, "fetch the file again");
    found[name.get<std::string>()] = {text.get<std::string>(), file.string()};
  };
  if (entry->is_object()) {
    for (const auto& [name, text] : entry->items()) add(name, text);
  } else if (entry->is_array()) {
    for (const Json& named : *entry) add(named.value("name", Json()), named.value("template", Json()));
  } else {
    add("default", *entry);
  }
  return found;
}

// chat_template.jinja, and those beside it.
Sources read_files(const fs::path& directory) {
  Sources found;
  const fs::path main = directory / "chat_template.jinja";
  if (fs::exists(main)) found["default"] = {read_text(main), main.string()};
  const fs::path additional = directory / "additional_chat_templates";
  if (!fs::is_directory(additional)) return found;
  for (const fs::directory_entry& entry : fs::directory_iterator(additional)) {
    if (entry.path().extension() != ".jinja") continue;
    found[entry.path().stem().string()] = {read_text(entry.path()), entry.path().string()};
  }
  return found;
}

Json text_message(Json content) {
  return Json::array({Json{{"role", "user"}, {"content", std::move(content)}}});
}

std::string joined_text(const Json& parts) {
  std::vector<std::string> texts;
  for (const Json& part : parts) {
    const bool is_text = part.is_object() && part.contains("text") && part.at("text").is_string();
    FARTHING_REQUIRE(is_text, Code::kInvalidArgument, "the chat template takes plain text only",
                     {{"part", part.is_object() ? part.value("type", "?") : part.dump()}},
                     "leave out the picture, or use a model whose template has a place for it");
    texts.push_back(part.at("text").get<std::string>());
  }
  return fmt::format("{}", fmt::join(texts, "\n"));
}

// The text of a content that is to be continued: a string, or the last text part of a list.
std::string final_text(const Json& messages) {
  const Json content = messages.empty() ? Json() : messages.back().value("content", Json());
  if (content.is_string()) return content.get<std::string>();
  for (auto part = content.rbegin(); content.is_array() && part != content.rend(); ++part) {
    if (part->is_object() && part->contains("text") && part->at("text").is_string())
      return part->at("text").get<std::string>();
  }
  throw Error(Code::kInvalidArgument, "the final message has no text to continue", {},
              "give it a text, or ask for a new message");
}

// `rendered` up to the end of the final message: after its text with the white space at its end, if the
// template kept it.
std::string cut_after_final(const std::string& rendered, const Json& messages) {
  const std::string text = final_text(messages);
  const std::string bare(jinja::strip(text, nullptr, jinja::Side::kBoth));
  const std::string_view without_start = jinja::strip(text, nullptr, jinja::Side::kLeft);
  const std::size_t at = rendered.rfind(bare);
  FARTHING_REQUIRE(at != std::string::npos, Code::kInvalidArgument,
                   "the chat template changes the final message, so it cannot be continued", {},
                   "ask for a new message");
  const bool keeps_end = rendered.compare(at, without_start.size(), without_start) == 0;
  return rendered.substr(0, at + (keeps_end ? without_start.size() : bare.size()));
}

}  // namespace

struct ChatTemplate::State {
  State(std::string text, std::string origin) : source(std::move(text)), program(source, std::move(origin)) {}

  /// Renders one user message; nothing when the template fails.
  std::optional<std::string> render_probe(Json content) const;
  void probe() const;

  std::string source;
  jinja::Template program;

  mutable std::once_flag probed;
  mutable bool takes_text = false;
  mutable bool takes_parts = false;
};

std::optional<std::string> ChatTemplate::State::render_probe(Json content) const {
  using jinja::Value;
  try {
    return program.render({{"messages", Value::from_json(text_message(std::move(content)))},
                           {"tools", Value::none()},
                           {"documents", Value::none()},
                           {"add_generation_prompt", Value::boolean(false)},
                           {"bos_token", Value::text("<s>")},
                           {"eos_token", Value::text("</s>")}},
                          {});
  } catch (const Error&) {
    return {};
  }
}

void ChatTemplate::State::probe() const {
  std::call_once(probed, [this] {
    const auto from_text = render_probe(kProbe);
    const auto from_parts = render_probe(Json::array({Json{{"type", "text"}, {"text", kProbe}}}));
    // A template that knows nothing of parts prints the list itself, in Python's or JSON's notation.
    const auto shows_text = [](const std::optional<std::string>& text) {
      return text && text->find(kProbe) != std::string::npos;
    };
    const bool prints_list = from_parts && (from_parts->find("'type'") != std::string::npos ||
                                            from_parts->find("\"type\"") != std::string::npos);
    takes_text = shows_text(from_text);
    takes_parts = shows_text(from_parts) && !prints_list;
  });
}

ChatTemplate::ChatTemplate(std::string source, std::string origin)
    : state_(std::make_shared<const State>(std::move(source), std::move(origin))) {}

std::optional<ChatTemplate> ChatTemplate::open(const fs::path& directory, std::string_view name) {
  Sources sources = read_files(directory);
  for (const char* file : {"chat_template.json", "processor_config.json", "tokenizer_config.json"}) {
    if (sources.empty()) sources = read_config(directory / file);
  }
  if (sources.empty()) return {};
  auto chosen = sources.find(std::string(name));
  if (chosen == sources.end() && name == "tool_use") chosen = sources.find("default");
  if (chosen == sources.end()) {
    std::vector<std::string> names;
    for (const auto& [known, source] : sources) names.push_back(known);
    throw Error(
        Code::kNotFound, "the model has no chat template of that name",
        {{"name", name}, {"model", directory.string()}, {"known", fmt::format("{}", fmt::join(names, ", "))}},
        "name one of those that it has");
  }
  return ChatTemplate(std::move(chosen->second.text), std::move(chosen->second.origin));
}

std::string ChatTemplate::render(const TemplateInputs& inputs) const {
  using jinja::Value;
  std::vector<std::pair<std::string, Value>> variables;
  for (const auto& [name, token] : inputs.special_tokens) variables.emplace_back(name, Value::text(token));
  for (const auto& [name, value] : inputs.variables.items())
    variables.emplace_back(name, Value::from_json(value));
  variables.emplace_back("messages", Value::from_json(inputs.messages));
  variables.emplace_back("tools", Value::from_json(inputs.tools));
  variables.emplace_back("documents", Value::from_json(inputs.documents));
  variables.emplace_back("add_generation_prompt", Value::boolean(inputs.add_generation_prompt));
  const std::string rendered = state_->program.render(variables, inputs.now);
  return inputs.continue_final_message ? cut_after_final(rendered, inputs.messages) : rendered;
}

const std::string& ChatTemplate::source() const {
  return state_->source;
}

bool ChatTemplate::wants_content_parts() const {
  state_->probe();
  return state_->takes_parts && !state_->takes_text;
}

bool ChatTemplate::accepts_content_parts() const {
  state_->probe();
  return state_->takes_parts;
}

Json ChatTemplate::adapt_messages(const Json& messages) const {
  Json adapted = messages;
  for (Json& message : adapted) {
    const auto content = message.is_object() ? message.find("content") : message.end();
    if (!message.is_object() || content == message.end()) continue;
    if (content->is_string() && wants_content_parts()) {
      *content = Json::array({Json{{"type", "text"}, {"text", *content}}});
    } else if (content->is_array() && !accepts_content_parts()) {
      *content = joined_text(*content);
    }
  }
  return adapted;
}

std::string render_default(const TemplateInputs& inputs) {
  static const ChatTemplate kZephyr(
      "{% for message in messages %}"
      "{{ '<|' ~ message.role ~ '|>\\n' }}"
      "{% if message.content is string %}{{ message.content }}"
      "{% else %}{{ message.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | "
      "join('\\n') }}{% endif %}"
      "{{ eos_token ~ '\\n' }}"
      "{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
      "built-in template");
  return kZephyr.render(inputs);
}

}  // namespace farthing::tokenizer
