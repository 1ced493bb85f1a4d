// Regular expressions over UTF-8 text: compiled once, matched from many threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace farthing::tokenizer {

/// Bytes [begin, end) of a text.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t size() const { return end - begin; }
  bool operator==(const Span&) const = default;
};

class Regex {
 public:
  /// Compiles a pattern in PCRE2 syntax, with Unicode properties and ^ and $ at every line.
  /// Throws kUnsupported with the pattern and the place of the fault.
  explicit Regex(std::string_view pattern);

  /// Compiles a pattern as tokenizer.json writes it (see regex_syntax.h).
  static Regex from_oniguruma(std::string_view pattern);

  /// Compiles a pattern that matches `text` itself.
  static Regex literal(std::string_view text);

  /// Appends all matches in `text` (valid UTF-8) from left to right, without overlaps. An empty match counts
  /// unless it directly follows another match. Throws kUnsupported when the search exceeds the limit on
  /// backtracking.
  void find_all(std::string_view text, std::vector<Span>& matches) const;

  /// Whether some part of `text` matches.
  bool matches(std::string_view text) const;

 private:
  Regex(std::string_view pattern, std::string_view as_written);

  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace farthing::tokenizer
