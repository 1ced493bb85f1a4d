#include "tokenizer/jinja/template.h"

#include "base/error.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/parser.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

constexpr std::size_t kShownBytes = 80;

// The line of `source` that a message shows, without the blanks around it.
std::string shown_line(std::string_view source, int number) {
  const std::vector<std::string_view> lines = split_at(source, "\n", number, false);
  const auto index = static_cast<std::size_t>(number - 1);
  const std::string_view line =
      index < lines.size() ? strip(lines[index], nullptr, Side::kBoth) : std::string_view();
  return std::string(slice_text(line, 0, kShownBytes));
}

}  // namespace

Template::Template(std::string_view source, std::string origin) : origin_(std::move(origin)) {
  try {
    body_ = std::make_shared<const Body>(parse(source));
  } catch (const SyntaxError& error) {
    throw Error(Code::kCorruptData, "the chat template does not parse: " + error.message,
                {{"template", origin_}, {"line", error.line}, {"text", shown_line(source, error.line)}},
                "the file may be damaged; fetch it again, or prompt without it: --raw");
  }
}

std::string Template::render(const std::vector<std::pair<std::string, Value>>& variables,
                             std::optional<std::chrono::sys_seconds> now) const {
  Runtime runtime;
  runtime.now = now;
  const auto globals = std::make_shared<Scope>();
  for (const auto& [name, value] : variables) globals->set(name, value);
  Interpreter interpreter(runtime, globals);
  try {
    return interpreter.run(*body_);
  } catch (const Failure& failure) {
    throw Error(Code::kInvalidArgument, failure.message,
                {{"template", origin_}, {"line", interpreter.line()}},
                failure.raised_by_template
                    ? "the chat template refuses this conversation; change its messages accordingly"
                    : "the chat template cannot handle this conversation; check its roles and the form of "
                      "its contents");
  }
}

}  // namespace farthing::tokenizer::jinja
