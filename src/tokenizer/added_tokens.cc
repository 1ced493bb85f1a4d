#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

namespace {

/// Whether the code point may be part of a word (\w of Rust's regular expressions).
bool is_word_character(char32_t code_point) {
  static const Regex pattern(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}])");
  return pattern.matches(to_utf8(code_point));
}

bool stands_alone(std::string_view text, const Span& match) {
  const bool word_before = match.begin > 0 && is_word_character(code_point_before(text, match.begin).value);
  const bool word_after = match.end < text.size() && is_word_character(code_point_at(text, match.end).value);
  return !word_before && !word_after;
}

std::size_t extend_left(std::string_view text, std::size_t begin) {
  while (begin > 0) {
    const CodePoint before = code_point_before(text, begin);
    if (!is_white_space(before.value)) break;
    begin -= before.length;
  }
  return begin;
}

std::size_t extend_right(std::string_view text, std::size_t end) {
  while (end < text.size()) {
    const CodePoint after = code_point_at(text, end);
    if (!is_white_space(after.value)) break;
    end += after.length;
  }
  return end;
}

}  // namespace

void AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  const auto known = contents_.id(token.content);
  const std::size_t index = known ? static_cast<std::size_t>(*known) : tokens_.size();
  by_id_[token.id] = index;
  if (known) {
    tokens_[index] = std::move(token);
  } else {
    contents_.insert(token.content, static_cast<std::int64_t>(index));
    tokens_.push_back(std::move(token));
  }
}

void AddedTokens::build(const Normalizer* normalizer) {
  raw_ = Trie();
  normalized_ = Trie();
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const auto index = static_cast<std::int32_t>(i);
    if (!tokens_[i].normalized) {
      raw_.insert(tokens_[i].content, index);
      continue;
    }
    NormalizedText pattern{tokens_[i].content};
    if (normalizer != nullptr) normalizer->apply(pattern);
    if (!pattern.text.empty()) normalized_.insert(pattern.text, index);
  }
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto index = contents_.id(content);
  return index ? &tokens_[static_cast<std::size_t>(*index)] : nullptr;
}

const AddedToken* AddedTokens::find(std::int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

AddedTokens::Match AddedTokens::longest_at(std::string_view text, const Trie& trie,
                                           bool parse_special) const {
  Match match;
  std::int32_t node = Trie::kRoot;
  for (std::size_t i = 0; i < text.size(); ++i) {
    node = trie.step(node, static_cast<unsigned char>(text[i]));
    if (node == Trie::kNone) break;
    const std::int32_t index = trie.value(node);
    if (index == Trie::kNone || (!parse_special && tokens_[static_cast<std::size_t>(index)].special))
      continue;
    match = {i + 1, index};
  }
  return match;
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool normalized,
                                                  bool parse_special) const {
  std::vector<Part> parts;
  std::size_t covered = 0;  // everything before is in some part, or swallowed
  for (std::size_t position = 0; position < text.size();) {
    const Match match = longest_at(text.substr(position), normalized ? normalized_ : raw_, parse_special);
    if (match.index == Trie::kNone) {
      ++position;
      continue;
    }
    Span span{position, position + match.length};
    position = span.end;
    const AddedToken& token = tokens_[static_cast<std::size_t>(match.index)];
    if (token.single_word && !stands_alone(text, span)) continue;
    if (token.lstrip) span.begin = std::max(extend_left(text, span.begin), covered);
    if (token.rstrip) span.end = extend_right(text, span.end);
    // Where the token before has swallowed this one, nothing is left of it.
    if (span.begin > covered) parts.push_back({{covered, span.begin}, std::nullopt});
    if (span.begin < span.end) parts.push_back({span, token.id});
    covered = span.end;
  }
  if (covered < text.size()) parts.push_back({{covered, text.size()}, std::nullopt});
  return parts;
}

}  // namespace farthing::tokenizer
