// farthing template: what a model's chat template makes of a conversation.
#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "cli/commands.h"
#include "models/tokenizer_files.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace farthing::cli {
namespace {

namespace fs = std::filesystem;
using tokenizer::ChatTemplate;
using tokenizer::TemplateInputs;

struct TemplateOptions {
  std::string model;
  fs::path messages;
  std::optional<fs::path> tools;
  bool add_generation_prompt = false;
  std::vector<std::string> set;
  std::optional<std::string> now;
};

// "2026-01-15" or "2026-01-15 10:30:00", the T of ISO 8601 allowed too. No time zone: it is what will be
// shown.
std::chrono::sys_seconds read_instant(const std::string& text) {
  int fields[6] = {0, 1, 1, 0, 0, 0};
  constexpr std::string_view kBetween = "-- ::";
  const char* at = text.data();
  const char* const end = at + text.size();
  std::size_t count = 0;
  bool valid = true;
  while (valid) {
    const auto [rest, error] = std::from_chars(at, end, fields[count++]);
    valid = error == std::errc();
    at = rest;
    if (at == end || count == 6) break;
    valid = valid && (*at == kBetween[count - 1] || (count == 3 && *at == 'T'));
    ++at;
  }
  const std::chrono::year_month_day date{std::chrono::year(fields[0]),
                                         std::chrono::month(static_cast<unsigned>(fields[1])),
                                         std::chrono::day(static_cast<unsigned>(fields[2]))};
  valid = valid && at == end && count >= 3 && count != 4 && date.ok() && fields[3] >= 0 && fields[3] < 24 &&
          fields[4] >= 0 && fields[4] < 60 && fields[5] >= 0 && fields[5] < 60;
  FARTHING_REQUIRE(valid, Code::kInvalidArgument, "not a date", {{"flag", "--now"}, {"given", text}},
                   "write it like 2026-01-15 or 2026-01-15T10:30:00");
  return std::chrono::sys_days(date) + std::chrono::hours(fields[3]) + std::chrono::minutes(fields[4]) +
         std::chrono::seconds(fields[5]);
}

// Special tokens are texts; any other value may be JSON (true, 3, "text"), and is a text when it is not.
void set_variable(TemplateInputs& inputs, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  FARTHING_REQUIRE(equals != std::string::npos && equals > 0, Code::kInvalidArgument, "not an assignment",
                   {{"flag", "--set"}, {"given", assignment}}, "write it like --set bos_token='<s>'");
  const std::string name = assignment.substr(0, equals), value = assignment.substr(equals + 1);
  if (name.ends_with("_token")) {
    inputs.special_tokens[name] = value;
    return;
  }
  const Json parsed = Json::parse(value, nullptr, false);
  inputs.variables[name] = parsed.is_discarded() ? Json(value) : parsed;
}

// The template of a model, with the special tokens that its tokenizer names.
std::optional<ChatTemplate> open_model_template(const fs::path& model, TemplateInputs& inputs) {
  try {
    const auto tokenizer = models::open_tokenizer(model);
    for (const char* role : {"bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token",
                             "mask_token", "image_token", "audio_token", "video_token"}) {
      if (const auto token = tokenizer.special_token(role)) inputs.special_tokens[role] = *token;
    }
  } catch (const Error& error) {
    if (error.code() != Code::kNotFound) throw;  // a folder with a template alone is enough
  }
  return models::open_chat_template(model, inputs.tools.is_null() ? "default" : "tool_use");
}

int render(App& app, const TemplateOptions& options) {
  TemplateInputs inputs{.add_generation_prompt = options.add_generation_prompt};
  const Json file = read_json(options.messages);
  inputs.messages = file.is_object() && file.contains("messages") ? file["messages"] : file;
  FARTHING_REQUIRE(inputs.messages.is_array(), Code::kInvalidArgument, "no list of messages",
                   {{"file", options.messages.string()}},
                   R"(write it like [{"role": "user", "content": "Hello"}])");
  if (file.is_object() && file.contains("tools")) inputs.tools = file["tools"];
  if (options.tools) inputs.tools = read_json(*options.tools);
  if (options.now) inputs.now = read_instant(*options.now);

  std::optional<ChatTemplate> chat_template;
  if (fs::is_regular_file(options.model) && fs::path(options.model).extension() == ".jinja") {
    chat_template.emplace(read_text(options.model), options.model);
  } else {
    chat_template = open_model_template(checkpoint::find_model(options.model), inputs);
    if (!chat_template)
      app.reporter().warn("the model has no chat template; this is the form that run and chat use");
  }
  for (const std::string& assignment : options.set) set_variable(inputs, assignment);

  const std::string text = chat_template ? chat_template->render(inputs) : tokenizer::render_default(inputs);
  if (app.json()) {
    app.write_json({{"text", text}});
  } else {
    app.write(text);
  }
  return kDone;
}

}  // namespace

void add_template(App& app) {
  const auto options = std::make_shared<TemplateOptions>();
  app.command("template", "what a model's chat template makes of a conversation")
      .example("farthing template models/tiny-llava-21m --messages chat.json --add-generation-prompt")
      .example("farthing template chat_template.jinja --messages chat.json --set bos_token='<s>'")
      .positional("MODEL", options->model, "a model, or a .jinja file")
      .required_option("--messages", "FILE", options->messages,
                       "JSON: a list of {role, content}, or an object with messages and tools")
      .option("--tools", "FILE", options->tools, "JSON: the tools that the template is told about")
      .flag("--add-generation-prompt", options->add_generation_prompt,
            "end where the assistant begins to speak")
      .option("--set", "NAME=VALUE", options->set,
              "a variable, such as bos_token or enable_thinking; repeatable")
      .option("--now", "DATE", options->now, "what strftime_now sees instead of the clock")
      .body([&app, options] { return render(app, *options); });
}

}  // namespace farthing::cli
