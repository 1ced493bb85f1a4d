// Tokens that are found in the text itself, before the model sees it: control tokens such as <s>, and
// whatever else was added to a trained vocabulary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/normalizer.h"
#include "tokenizer/trie.h"
#include "tokenizer/vocabulary.h"

namespace farthing::tokenizer {

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool special = false;      // a control token: decoding may skip it
  bool normalized = true;    // look for it in the normalized text rather than in the raw one
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // swallows white space before it
  bool rstrip = false;       // ... and after it
};

class AddedTokens {
 public:
  /// Adds a token, or changes the one with this content. Empty tokens are ignored.
  void add(AddedToken token);

  /// Prepares the search. The patterns of normalized tokens pass through `normalizer` (may be null)
  /// themselves.
  void build(const Normalizer* normalizer);

  const AddedToken* find(std::string_view content) const;
  const AddedToken* find(std::int32_t id) const;
  const std::vector<AddedToken>& tokens() const { return tokens_; }

  /// A stretch of text, or a token in it.
  struct Part {
    Span span;
    std::optional<std::int32_t> id;
  };
  /// Cuts `text` at the leftmost longest tokens: those with `normalized` set as asked, without the special
  /// ones if `parse_special` is false. White space that a token swallows belongs to no part.
  std::vector<Part> split(std::string_view text, bool normalized, bool parse_special) const;

 private:
  struct Match {
    std::size_t length = 0;
    std::int32_t index = Trie::kNone;
  };
  /// The longest token that `text` starts with, by its index in tokens_.
  Match longest_at(std::string_view text, const Trie& trie, bool parse_special) const;

  std::vector<AddedToken> tokens_;
  Vocabulary contents_;  // content to index in tokens_
  std::unordered_map<std::int32_t, std::size_t> by_id_;
  Trie raw_, normalized_;  // values are indices in tokens_
};

}  // namespace farthing::tokenizer
