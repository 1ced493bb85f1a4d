// The command line as a command declares it: names, values, one line of help each. Parsing, help pages and
// "did you mean" are all made from these declarations.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace farthing::cli {

/// Takes the text of one value. Throws Error(kInvalidArgument) when it is not one.
using Reader = std::function<void(const std::string&)>;

/// How texts become values: counts take "32K", vectors grow by one with each use of the flag.
void read_value(const std::string& text, std::string& value);
void read_value(const std::string& text, std::filesystem::path& value);
void read_value(const std::string& text, std::int64_t& value);
void read_value(const std::string& text, int& value);
void read_value(const std::string& text, double& value);
template <typename T>
void read_value(const std::string& text, std::optional<T>& value) {
  T read{};
  read_value(text, read);
  value = std::move(read);
}
template <typename T>
void read_value(const std::string& text, std::vector<T>& value) {
  T read{};
  read_value(text, read);
  value.push_back(std::move(read));
}

/// A size such as "20GiB"; "50%" is of `whole`, when that is given.
Reader read_bytes(std::uint64_t& value, std::uint64_t whole = 0);

/// One word of a list; for others the nearest one is proposed.
Reader read_choice(std::string& value, std::vector<std::string_view> choices);

/// Comma-separated counts: "32,128,512".
Reader read_counts(std::vector<std::int64_t>& value);

/// One command. The declared variables must outlive parse(); commands keep them in a struct that their body
/// shares.
class Command {
 public:
  Command(std::string name, std::string summary);

  /// Adds a line to the examples, which open the help page.
  Command& example(std::string line);

  /// Starts a group of flags on the help page.
  Command& group(std::string title);

  /// A value without a flag, in the order of declaration. With kRest it takes all that follow.
  enum class Presence { kRequired, kOptional, kRest };
  template <typename T>
  Command& positional(std::string name, T& value, std::string help, Presence presence = Presence::kRequired) {
    return add_positional(std::move(name), reader_of(value), std::move(help), presence);
  }

  /// A flag with a value: option("-o,--output", "DIR", output, "where the result goes"). The last use counts,
  /// unless the variable is a vector.
  template <typename T>
  Command& option(std::string names, std::string value_name, T& value, std::string help) {
    return add_option(std::move(names), std::move(value_name), reader_of(value), std::move(help),
                      IsVector<T>::value);
  }
  Command& option(std::string names, std::string value_name, Reader reader, std::string help) {
    return add_option(std::move(names), std::move(value_name), std::move(reader), std::move(help), false);
  }

  /// As option(), and the command cannot do without.
  template <typename T>
  Command& required_option(std::string names, std::string value_name, T& value, std::string help) {
    option(std::move(names), std::move(value_name), value, std::move(help));
    options_.back().required = true;
    return *this;
  }

  /// A flag without a value; `count_reader` gets how often it was given.
  Command& flag(std::string names, bool& value, std::string help);
  Command& flag(std::string names, std::function<void(std::int64_t)> count_reader, std::string help);

  /// Two flags for both answers: toggle("--resume", "--no-resume", resume, "...").
  Command& toggle(std::string yes, std::string no, bool& value, std::string help);
  Command& toggle(std::string yes, std::string no, std::optional<bool>& value, std::string help);

  /// What the command does; returns the exit code.
  Command& body(std::function<int()> body);

  const std::string& name() const { return name_; }
  const std::string& summary() const { return summary_; }

  /// Reads the arguments after the command's name. Throws Error(kInvalidArgument).
  void parse(std::span<const std::string> arguments) const;
  int run() const { return body_(); }

  /// One line: "farthing tokenize MODEL [TEXT] [flags]".
  std::string usage() const;

  /// The help page. With `topic`, only the flags whose group, name or help holds it.
  std::string help(std::string_view topic = "") const;

 private:
  struct Positional {
    std::string name;
    Reader reader;
    std::string help;
    Presence presence;
  };
  struct Option {
    std::string names;       // "-o,--output"
    std::string value_name;  // empty: no value
    Reader reader;
    std::function<void(std::int64_t)> count_reader;
    std::string help;
    std::size_t group = 0;
    bool repeatable = false;
    bool required = false;
    bool hidden = false;  // shown on the row before: the other half of a toggle
  };

  template <typename T>
  static Reader reader_of(T& value) {
    return [&value](const std::string& text) { read_value(text, value); };
  }
  template <typename T>
  struct IsVector : std::false_type {};
  template <typename T>
  struct IsVector<std::vector<T>> : std::true_type {};

  Command& add_positional(std::string name, Reader reader, std::string help, Presence presence);
  Command& add_option(std::string names, std::string value_name, Reader reader, std::string help,
                      bool repeatable);
  void read_positional(const Positional& positional, const std::vector<std::string>& texts) const;
  void read_option(const Option& option, const std::vector<std::string>& texts) const;
  void refuse_unknown(const std::vector<std::string>& unknown) const;

  std::string name_;
  std::string summary_;
  std::vector<std::string> examples_;
  std::vector<std::string> groups_{""};
  std::vector<Positional> positionals_;
  std::vector<Option> options_;
  std::function<int()> body_;
};

}  // namespace farthing::cli
