#include "tokenizer/precompiled_charsmap.h"

#include <cstring>

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

namespace {

// A unit of the double array (Darts-clone): bits 0-7 and 31 label, bit 8 "a key ends here", bits 10-30
// offset, to be shifted by 8 if bit 9 is set. In the unit of a value, bits 0-30 are the value.
std::uint32_t label_of(std::uint32_t unit) {
  return unit & (1u << 31 | 0xFF);
}
bool has_value(std::uint32_t unit) {
  return unit >> 8 & 1;
}
std::uint32_t value_of(std::uint32_t unit) {
  return unit & ((1u << 31) - 1);
}
std::uint32_t offset_of(std::uint32_t unit) {
  return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

}  // namespace

PrecompiledCharsmap::PrecompiledCharsmap(std::string_view binary) {
  if (binary.empty()) return;
  std::uint32_t trie_size = 0;
  const bool has_header = binary.size() >= sizeof trie_size;
  if (has_header) std::memcpy(&trie_size, binary.data(), sizeof trie_size);
  FARTHING_REQUIRE(has_header && trie_size >= 4 && trie_size % 4 == 0 && trie_size <= binary.size() - 4,
                   Code::kCorruptData, "precompiled character map has impossible sizes",
                   {{"bytes", binary.size()}, {"trie bytes", trie_size}});
  units_.resize(trie_size / 4);
  std::memcpy(units_.data(), binary.data() + 4, trie_size);
  replacements_ = binary.substr(4 + trie_size);
  FARTHING_REQUIRE(valid_utf8_prefix(replacements_) == replacements_.size(), Code::kCorruptData,
                   "precompiled character map has replacements that are not UTF-8");
}

std::optional<PrecompiledCharsmap::Match> PrecompiledCharsmap::find_prefix(std::string_view text,
                                                                           bool longest) const {
  if (units_.empty()) return std::nullopt;
  std::optional<Match> match;
  std::size_t node = offset_of(units_[0]);
  for (std::size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size()) break;
    const std::uint32_t unit = units_[node];
    if (label_of(unit) != byte) break;
    node ^= offset_of(unit);
    if (node >= units_.size()) break;
    const bool at_boundary = i + 1 == text.size() || !is_continuation_byte(text[i + 1]);
    if (has_value(unit) && at_boundary) {
      const std::size_t begin = value_of(units_[node]);
      if (begin >= replacements_.size() || is_continuation_byte(replacements_[begin])) break;
      const std::string_view rest = std::string_view(replacements_).substr(begin);
      match = Match{i + 1, rest.substr(0, rest.find('\0'))};
      if (!longest) break;
    }
  }
  return match;
}

std::optional<PrecompiledCharsmap::Match> PrecompiledCharsmap::shortest_prefix(std::string_view text) const {
  return find_prefix(text, false);
}

std::optional<PrecompiledCharsmap::Match> PrecompiledCharsmap::longest_prefix(std::string_view text) const {
  return find_prefix(text, true);
}

}  // namespace farthing::tokenizer
