// What the normalizer, pre-tokenizer, post-processor and decoder descriptions of tokenizer.json have in
// common.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/json_fields.h"
#include "tokenizer/regex.h"

namespace farthing::tokenizer {

/// U+2581, which SentencePiece writes for a space.
inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";

/// The "type" of a description. Throws kCorruptData when there is none.
inline std::string stage_type(const Json& description) {
  return require_field<std::string>(description, "type");
}

[[noreturn]] inline void throw_unknown_stage(std::string_view stage, std::string_view type) {
  throw Error(Code::kUnsupported, "unknown stage in tokenizer.json", {{"stage", stage}, {"type", type}});
}

/// A Regex from {"String": text} or {"Regex": pattern}.
inline Regex pattern_field(const Json& description) {
  const Json* pattern = find_field(description, "pattern");
  if (pattern == nullptr || !pattern->is_object())
    throw_bad_field(description, "pattern", "a String or a Regex");
  if (find_field(*pattern, "String")) return Regex::literal(require_field<std::string>(*pattern, "String"));
  return Regex::from_oniguruma(require_field<std::string>(*pattern, "Regex"));
}

/// Builds every element of the list `key` with `make`.
template <typename Make>
auto make_all(const Json& description, std::string_view key, Make make) {
  std::vector<decltype(make(description))> stages;
  for (const Json& element : require_array(description, key)) {
    auto stage = make(element);
    if (stage != nullptr) stages.push_back(std::move(stage));
  }
  return stages;
}

}  // namespace farthing::tokenizer
