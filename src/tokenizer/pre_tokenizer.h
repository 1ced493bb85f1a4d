// The stage that cuts normalized text into the pieces that the model sees one by one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/regex.h"

namespace farthing::tokenizer {

/// Text and the pieces it is cut into, from left to right, never empty.
struct PreTokenizedText {
  std::string text;
  std::vector<Span> pieces;
  bool at_start = true;  // whether the first character is that of the whole input

  std::string_view piece(const Span& span) const {
    return std::string_view(text).substr(span.begin, span.size());
  }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(PreTokenizedText& text) const = 0;
};

using PreTokenizerPtr = std::unique_ptr<const PreTokenizer>;

/// Builds the pre-tokenizer that a "pre_tokenizer" object of tokenizer.json describes; null for JSON null.
/// Throws kUnsupported for an unknown type, kCorruptData for missing or wrong fields.
PreTokenizerPtr make_pre_tokenizer(const Json& description);

/// What becomes of the matches that split a text.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// Some part of a text, and whether it matched.
struct SplitPart {
  Span span;
  bool is_match;
};

/// Cuts parts (which cover a text without gaps) into pieces and appends these, without the empty ones.
void append_split(const std::vector<SplitPart>& parts, SplitBehavior behavior, std::vector<Span>& pieces);

PreTokenizerPtr make_pre_tokenizer_sequence(std::vector<PreTokenizerPtr> pre_tokenizers);

/// Splits at what `pattern` matches, or with `invert` at what it does not.
PreTokenizerPtr make_split(Regex pattern, SplitBehavior behavior, bool invert);

/// The byte-level stage: a space in front where wanted, GPT-2's split pattern where wanted, then the byte
/// alphabet.
PreTokenizerPtr make_byte_level(bool add_prefix_space, bool use_regex);

/// Cuts before every U+2581 that does not follow another one. For a model that never merges across such a
/// place this changes no id and makes long texts fast, because words repeat.
PreTokenizerPtr make_word_start_split();

}  // namespace farthing::tokenizer
