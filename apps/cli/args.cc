#include "cli/args.h"

#include <algorithm>
#include <charconv>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/nearest_name.h"
#include "base/units.h"

namespace farthing::cli {
namespace {

// "-o,--output" -> {"-o", "--output"}.
std::vector<std::string_view> split_names(std::string_view names) {
  std::vector<std::string_view> result;
  while (true) {
    const std::size_t comma = names.find(',');
    result.push_back(names.substr(0, comma));
    if (comma == std::string_view::npos) return result;
    names.remove_prefix(comma + 1);
  }
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

// Calls `reader` and adds to its errors which flag they are about.
void read_for(const std::string& name, const std::string& text, const Reader& reader) {
  try {
    reader(text);
  } catch (const Error& error) {
    std::vector<Field> fields = {{name.starts_with('-') ? "flag" : "argument", name}};
    fields.insert(fields.end(), error.fields().begin(), error.fields().end());
    throw Error(error.code(), error.message(), std::move(fields), error.hint());
  }
}

}  // namespace

void read_value(const std::string& text, std::string& value) {
  value = text;
}

void read_value(const std::string& text, std::filesystem::path& value) {
  value = text;
}

void read_value(const std::string& text, std::int64_t& value) {
  value = text.starts_with('-') ? -parse_count(std::string_view(text).substr(1)) : parse_count(text);
}

void read_value(const std::string& text, int& value) {
  std::int64_t wide = 0;
  read_value(text, wide);
  FARTHING_REQUIRE(wide >= INT32_MIN && wide <= INT32_MAX, Code::kInvalidArgument, "number is too large",
                   {{"given", text}});
  value = static_cast<int>(wide);
}

void read_value(const std::string& text, double& value) {
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  FARTHING_REQUIRE(error == std::errc() && rest == text.data() + text.size() && value == value,
                   Code::kInvalidArgument, "not a number", {{"given", text}}, "write it like 0.7");
}

Reader read_bytes(std::uint64_t& value, std::uint64_t whole) {
  return [&value, whole](const std::string& text) { value = parse_bytes(text, whole); };
}

Reader read_choice(std::string& value, std::vector<std::string_view> choices) {
  return [&value, choices = std::move(choices)](const std::string& text) {
    if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
      const std::string nearest = nearest_name(text, choices);
      throw Error(Code::kInvalidArgument, "unknown word", {{"given", text}},
                  fmt::format("{}use one of: {}", nearest.empty() ? "" : "did you mean " + nearest + "? ",
                              fmt::join(choices, ", ")));
    }
    value = text;
  };
}

Reader read_counts(std::vector<std::int64_t>& value) {
  return [&value](const std::string& text) {
    value.clear();
    for (const std::string_view part : split_names(text)) value.push_back(parse_count(part));
  };
}

Command::Command(std::string name, std::string summary)
    : name_(std::move(name)), summary_(std::move(summary)) {}

Command& Command::example(std::string line) {
  examples_.push_back(std::move(line));
  return *this;
}

Command& Command::group(std::string title) {
  groups_.push_back(std::move(title));
  return *this;
}

Command& Command::add_positional(std::string name, Reader reader, std::string help, Presence presence) {
  positionals_.push_back({std::move(name), std::move(reader), std::move(help), presence});
  return *this;
}

Command& Command::add_option(std::string names, std::string value_name, Reader reader, std::string help,
                             bool repeatable) {
  options_.push_back({.names = std::move(names),
                      .value_name = std::move(value_name),
                      .reader = std::move(reader),
                      .help = std::move(help),
                      .group = groups_.size() - 1,
                      .repeatable = repeatable});
  return *this;
}

Command& Command::flag(std::string names, bool& value, std::string help) {
  return flag(
      std::move(names), [&value](std::int64_t) { value = true; }, std::move(help));
}

Command& Command::flag(std::string names, std::function<void(std::int64_t)> count_reader, std::string help) {
  options_.push_back({.names = std::move(names),
                      .count_reader = std::move(count_reader),
                      .help = std::move(help),
                      .group = groups_.size() - 1});
  return *this;
}

Command& Command::toggle(std::string yes, std::string no, bool& value, std::string help) {
  flag(
      std::move(yes), [&value](std::int64_t) { value = true; }, std::move(help));
  flag(
      std::move(no), [&value](std::int64_t) { value = false; }, "");
  options_.back().hidden = true;
  return *this;
}

Command& Command::toggle(std::string yes, std::string no, std::optional<bool>& value, std::string help) {
  flag(
      std::move(yes), [&value](std::int64_t) { value = true; }, std::move(help));
  flag(
      std::move(no), [&value](std::int64_t) { value = false; }, "");
  options_.back().hidden = true;
  return *this;
}

Command& Command::body(std::function<int()> body) {
  body_ = std::move(body);
  return *this;
}

void Command::refuse_unknown(const std::vector<std::string>& unknown) const {
  if (unknown.empty()) return;
  for (const std::string& word : unknown) {
    if (word.size() < 2 || word[0] != '-') continue;
    std::vector<std::string_view> names;
    for (const Option& option : options_) {
      for (const std::string_view name : split_names(option.names)) {
        if (name.starts_with("--")) names.push_back(name);
      }
    }
    const std::string nearest = nearest_name(std::string_view(word).substr(0, word.find('=')), names);
    throw Error(Code::kInvalidArgument, "unknown flag", {{"flag", word}},
                nearest.empty()
                    ? fmt::format("see: farthing {} --help", name_)
                    : fmt::format("did you mean {}? all flags: farthing {} --help", nearest, name_));
  }
  throw Error(Code::kInvalidArgument, "too many arguments", {{"argument", unknown.front()}},
              "usage: " + usage());
}

void Command::parse(std::span<const std::string> arguments) const {
  CLI::App parser;
  parser.set_help_flag();
  parser.allow_extras();
  const CLI::callback_t accept = [](const CLI::results_t&) { return true; };  // values are read below
  std::vector<CLI::Option*> declared;
  for (const Positional& positional : positionals_) {
    declared.push_back(parser.add_option(positional.name, accept));
    if (positional.presence == Presence::kRest)
      declared.back()->expected(-1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  for (const Option& option : options_) {
    declared.push_back(option.value_name.empty() ? parser.add_flag(option.names)
                                                 : parser.add_option(option.names, accept));
    declared.back()->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  try {
    parser.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    throw Error(Code::kInvalidArgument, error.what(), {}, "usage: " + usage());
  }
  std::vector<std::string> unknown = parser.remaining();
  std::erase(unknown, "--");  // CLI11 keeps the mark itself there
  refuse_unknown(unknown);

  auto given = declared.begin();
  for (const Positional& positional : positionals_) read_positional(positional, (*given++)->results());
  for (const Option& option : options_) read_option(option, (*given++)->results());
}

void Command::read_positional(const Positional& positional, const std::vector<std::string>& texts) const {
  FARTHING_REQUIRE(!texts.empty() || positional.presence == Presence::kOptional, Code::kInvalidArgument,
                   fmt::format("{} is missing", positional.name), {}, "usage: " + usage());
  for (const std::string& text : texts) read_for(positional.name, text, positional.reader);
}

void Command::read_option(const Option& option, const std::vector<std::string>& texts) const {
  const std::string name(split_names(option.names).back());
  FARTHING_REQUIRE(!texts.empty() || !option.required, Code::kInvalidArgument,
                   fmt::format("{} is missing", option.names), {}, "usage: " + usage());
  if (texts.empty()) return;
  if (option.value_name.empty()) {
    option.count_reader(static_cast<std::int64_t>(texts.size()));
  } else if (option.repeatable) {
    for (const std::string& text : texts) read_for(name, text, option.reader);
  } else {
    read_for(name, texts.back(), option.reader);
  }
}

std::string Command::usage() const {
  std::string result = "farthing " + name_;
  for (const Positional& positional : positionals_) {
    switch (positional.presence) {
      case Presence::kRequired:
        result += " " + positional.name;
        break;
      case Presence::kOptional:
        result += " [" + positional.name + "]";
        break;
      case Presence::kRest:
        result += " " + positional.name + "...";
        break;
    }
  }
  for (const Option& option : options_) {
    if (option.required)
      result += fmt::format(" {} {}", split_names(option.names).front(), option.value_name);
  }
  return result + " [flags]";
}

std::string Command::help(std::string_view topic) const {
  constexpr std::size_t kHelpColumn = 34;
  const std::string wanted = lower(topic == "all" ? "" : topic);
  const auto row = [](std::string left, std::string_view help) {
    if (left.size() + 2 > kHelpColumn)
      left += "\n" + std::string(kHelpColumn, ' ');
    else
      left.resize(kHelpColumn, ' ');
    return left + std::string(help) + "\n";
  };
  std::string result = fmt::format("{}\n\nusage: {}\n", summary_, usage());
  if (!examples_.empty() && wanted.empty())
    result += fmt::format("\nexamples:\n  {}\n", fmt::join(examples_, "\n  "));
  if (wanted.empty()) {
    result += "\n";
    for (const Positional& positional : positionals_) result += row("  " + positional.name, positional.help);
  }
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    std::string rows;
    for (std::size_t i = 0; i < options_.size(); ++i) {
      const Option& option = options_[i];
      if (option.group != group || option.hidden) continue;
      std::string left = fmt::format("  {}", fmt::join(split_names(option.names), ", "));
      if (i + 1 < options_.size() && options_[i + 1].hidden) left += ", " + options_[i + 1].names;
      if (!option.value_name.empty()) left += " " + option.value_name;
      if (lower(groups_[group] + left + option.help).find(wanted) == std::string::npos) continue;
      rows += row(std::move(left), option.help);
    }
    if (!rows.empty())
      result += fmt::format("\n{}:\n{}", groups_[group].empty() ? "flags" : groups_[group], rows);
  }
  return result;
}

}  // namespace farthing::cli
