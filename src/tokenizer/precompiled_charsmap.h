// The character map that SentencePiece compiles into its models: a double-array trie from byte sequences to
// their replacements. Layout: trie size in bytes (32-bit little endian), trie units, zero-terminated
// replacements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace farthing::tokenizer {

class PrecompiledCharsmap {
 public:
  /// The map that replaces nothing.
  PrecompiledCharsmap() = default;

  /// Reads the binary form. Throws kCorruptData when it is cut short or its sizes contradict each other.
  explicit PrecompiledCharsmap(std::string_view binary);

  struct Match {
    std::size_t length;            // bytes of the text that matched
    std::string_view replacement;  // valid as long as the map
  };
  /// The shortest and the longest entry that `text` starts with.
  std::optional<Match> shortest_prefix(std::string_view text) const;
  std::optional<Match> longest_prefix(std::string_view text) const;

  bool empty() const { return units_.empty(); }

 private:
  std::optional<Match> find_prefix(std::string_view text, bool longest) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace farthing::tokenizer
