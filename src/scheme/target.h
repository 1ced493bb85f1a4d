// Which modules a recipe or checkpoint means: `re:` and a regular expression anchored at the start (Python's
// re.match), the exact name of a module, or the name of its class.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheme/regex.h"

namespace farthing::scheme {

/// A module as patterns see it. Vision-language checkpoints exist in two spellings
/// ("language_model.model.layers.0" in the file, "model.language_model.layers.0" in memory); a pattern may
/// use either.
struct ModuleNames {
  std::vector<std::string> names;  // every spelling of the module's path
  std::string class_name;          // "Linear"
};

/// How a pattern came to fit, the strongest first.
enum class MatchKind : std::uint8_t { kName, kRegex, kClass };

/// One compiled pattern. Cheap to copy.
class Target {
 public:
  /// Throws kInvalidArgument naming the pattern and where its regular expression is wrong.
  explicit Target(std::string pattern);

  /// Returns how the pattern fits `module`, or nothing.
  std::optional<MatchKind> match(const ModuleNames& module) const;

  const std::string& pattern() const { return pattern_; }

 private:
  std::string pattern_;
  std::optional<Regex> regex_;  // when the pattern starts with "re:"
};

/// Several lists of targets of which at most one is meant for a module: the groups of a config.
class TargetTable {
 public:
  /// Adds the next list; lists are numbered from 0.
  void add(std::span<const std::string> patterns);

  /// Returns the number of the list with the best fit: exact names before expressions before classes, inside
  /// one level the first pattern in sorted order. Nothing when no pattern fits.
  std::optional<std::size_t> find(const ModuleNames& module) const;

 private:
  struct Entry {
    Target target;
    std::size_t list;
  };
  std::vector<Entry> entries_;  // sorted by pattern
  std::size_t num_lists_ = 0;
};

/// One-off form of Target::match.
bool matches(std::string_view pattern, const ModuleNames& module);

}  // namespace farthing::scheme
