// farthing tokenize: a model's tokenizer on its own.
#include <charconv>
#include <iostream>
#include <iterator>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "cli/commands.h"
#include "models/tokenizer_files.h"
#include "tokenizer/tokenizer.h"

namespace farthing::cli {
namespace {

using tokenizer::Tokenizer;
using Ids = std::vector<std::int32_t>;

struct TokenizeOptions {
  std::string model;
  std::optional<std::string> text;
  std::optional<std::filesystem::path> file;
  bool lines = false;
  bool no_special = false;
  bool decode = false;
};

std::string input_of(const TokenizeOptions& options) {
  FARTHING_REQUIRE(!options.text || !options.file, Code::kInvalidArgument, "both TEXT and --file given",
                   {{"--file", options.file->string()}}, "give one of them");
  if (options.text) return *options.text;
  if (options.file) return read_text(*options.file);
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

// Without the newlines; a text that ends in one has no empty line after it.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

// Numbers between spaces, commas or the brackets of a JSON list.
Ids read_ids(std::string_view text) {
  constexpr std::string_view kBetween = " \t\r\n,[]";
  Ids ids;
  for (std::size_t begin = text.find_first_not_of(kBetween); begin != std::string_view::npos;
       begin = text.find_first_not_of(kBetween, begin)) {
    const std::size_t end = std::min(text.find_first_of(kBetween, begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    std::int32_t id = 0;
    const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    FARTHING_REQUIRE(error == std::errc() && rest == word.data() + word.size() && id >= 0,
                     Code::kInvalidArgument, "not a token id", {{"given", word}}, "give ids like: 1 4093 29");
    ids.push_back(id);
    begin = end;
  }
  return ids;
}

std::string text_of(const Ids& ids) {
  return fmt::format("{}\n", fmt::join(ids, " "));
}

int decode(App& app, const TokenizeOptions& options, const Tokenizer& tokenizer, const std::string& input) {
  const Ids ids = read_ids(input);
  const std::string text = tokenizer.decode(ids, {.skip_special_tokens = options.no_special});
  if (app.json()) {
    app.write_json({{"ids", ids}, {"text", text}});
  } else {
    app.write(text + "\n");
  }
  return kDone;
}

int tokenize(App& app, const TokenizeOptions& options) {
  const Tokenizer tokenizer = models::open_tokenizer(checkpoint::find_model(options.model));
  const std::string input = input_of(options);
  if (options.decode) return decode(app, options, tokenizer, input);

  const tokenizer::EncodeOptions encode{.add_special_tokens = !options.no_special};
  std::vector<Ids> rows;
  if (options.lines) {
    for (const std::string_view line : lines_of(input)) rows.push_back(tokenizer.encode(line, encode));
  } else {
    rows.push_back(tokenizer.encode(input, encode));
  }
  if (app.json()) {
    app.write_json({{"ids", options.lines ? Json(rows) : Json(rows.front())}});
  } else {
    std::string answer;
    for (const Ids& ids : rows) answer += text_of(ids);
    app.write(answer);
  }
  return kDone;
}

}  // namespace

void add_tokenize(App& app) {
  const auto options = std::make_shared<TokenizeOptions>();
  app.command("tokenize", "text to token ids and back")
      .example("farthing tokenize models/tiny-llava-21m \"What animal is this?\"")
      .example("farthing tokenize models/tiny-llava-21m --file notes.txt --lines --json")
      .example("farthing tokenize models/tiny-llava-21m --decode \"1 433 1160\"")
      .positional("MODEL", options->model, "a model, or a folder with a tokenizer alone")
      .positional("TEXT", options->text, "the text, or with --decode the ids; else stdin",
                  Command::Presence::kOptional)
      .option("--file", "FILE", options->file, "read the exact bytes of a file instead")
      .flag("--lines", options->lines, "each line on its own, without its newline")
      .flag("--no-special", options->no_special, "do not add special tokens; with --decode leave them out")
      .flag("--decode", options->decode, "ids to text")
      .body([&app, options] { return tokenize(app, *options); });
}

}  // namespace farthing::cli
