// Every pre-tokenizer of tokenizer.json. What each does is said beside its class; the names are the file's.
#include <optional>
#include <utility>

#include "tokenizer/byte_level.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/stage_description.h"
#include "tokenizer/unicode.h"
#include "tokenizer/unicode_scripts.h"

namespace farthing::tokenizer {

namespace {

// https://github.com/openai/gpt-2/blob/master/src/encoder.py
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class Sequence : public PreTokenizer {
 public:
  explicit Sequence(std::vector<PreTokenizerPtr> pre_tokenizers)
      : pre_tokenizers_(std::move(pre_tokenizers)) {}
  void apply(PreTokenizedText& text) const override {
    for (const PreTokenizerPtr& pre_tokenizer : pre_tokenizers_) pre_tokenizer->apply(text);
  }

 private:
  std::vector<PreTokenizerPtr> pre_tokenizers_;
};

/// Cuts every piece at what `find_parts(piece, parts)` finds in it.
template <typename FindParts>
void split_pieces(PreTokenizedText& text, SplitBehavior behavior, FindParts find_parts) {
  std::vector<Span> pieces;
  std::vector<SplitPart> parts;
  for (const Span& piece : text.pieces) {
    parts.clear();
    find_parts(text.piece(piece), parts);
    for (SplitPart& part : parts) {
      part.span.begin += piece.begin;
      part.span.end += piece.begin;
    }
    append_split(parts, behavior, pieces);
  }
  text.pieces = std::move(pieces);
}

/// Rewrites every piece with `rewrite(piece, is_first, result)`, which appends to the new text.
template <typename Rewrite>
void rewrite_pieces(PreTokenizedText& text, Rewrite rewrite) {
  std::string result;
  result.reserve(text.text.size() + text.text.size() / 4);
  text.at_start = text.at_start && !text.pieces.empty() && text.pieces[0].begin == 0;
  bool is_first = text.at_start;
  for (Span& piece : text.pieces) {
    const std::size_t begin = result.size();
    rewrite(text.piece(piece), is_first, result);
    piece = {begin, result.size()};
    is_first = false;
  }
  text.text = std::move(result);
}

/// Splits at a regular expression.
class Split : public PreTokenizer {
 public:
  Split(Regex pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void apply(PreTokenizedText& text) const override {
    std::vector<Span> matches;
    split_pieces(text, behavior_, [&](std::string_view piece, std::vector<SplitPart>& parts) {
      matches.clear();
      pattern_.find_all(piece, matches);
      std::size_t end = 0;
      for (const Span& match : matches) {
        if (match.begin > end) parts.push_back({{end, match.begin}, invert_});
        parts.push_back({match, !invert_});
        end = match.end;
      }
      if (end < piece.size()) parts.push_back({{end, piece.size()}, invert_});
    });
  }

 private:
  Regex pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

/// Splits at every code point for which a predicate holds.
template <typename Predicate>
class CharacterSplit : public PreTokenizer {
 public:
  CharacterSplit(Predicate predicate, SplitBehavior behavior) : predicate_(predicate), behavior_(behavior) {}

  void apply(PreTokenizedText& text) const override {
    split_pieces(text, behavior_, [this](std::string_view piece, std::vector<SplitPart>& parts) {
      std::size_t end = 0;  // of the last match
      for (std::size_t i = 0; i < piece.size();) {
        const CodePoint code_point = code_point_at(piece, i);
        const std::size_t next = i + code_point.length;
        if (predicate_(code_point.value)) {
          if (i > end) parts.push_back({{end, i}, false});
          parts.push_back({{i, next}, true});
          end = next;
        }
        i = next;
      }
      if (end < piece.size()) parts.push_back({{end, piece.size()}, false});
    });
  }

 private:
  Predicate predicate_;
  SplitBehavior behavior_;
};

template <typename Predicate>
PreTokenizerPtr make_character_split(Predicate predicate, SplitBehavior behavior) {
  return std::make_unique<CharacterSplit<Predicate>>(predicate, behavior);
}

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex) : add_prefix_space_(add_prefix_space) {
    if (use_regex) split_.emplace(Regex::from_oniguruma(kGpt2Pattern), SplitBehavior::kIsolated, false);
  }

  void apply(PreTokenizedText& text) const override {
    if (add_prefix_space_) {
      rewrite_pieces(text, [](std::string_view piece, bool, std::string& result) {
        if (!piece.starts_with(' ')) result += ' ';
        result += piece;
      });
    }
    if (split_) split_->apply(text);
    rewrite_pieces(
        text, [](std::string_view piece, bool, std::string& result) { append_byte_level(result, piece); });
  }

 private:
  bool add_prefix_space_;
  std::optional<Split> split_;
};

/// Writes spaces as the replacement character, puts one in front, and splits before each.
class Metaspace : public PreTokenizer {
 public:
  enum class Prepend { kAlways, kFirst, kNever };
  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend), split_(split) {}

  void apply(PreTokenizedText& text) const override {
    rewrite_pieces(text, [this](std::string_view piece, bool is_first, std::string& result) {
      const bool has_prefix = piece.starts_with(' ') || piece.starts_with(replacement_);
      if (!has_prefix && (prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && is_first))) {
        result += replacement_;
      }
      for (const char c : piece) {
        if (c == ' ') {
          result += replacement_;
        } else {
          result += c;
        }
      }
    });
    if (!split_) return;
    const char32_t delimiter = code_point_at(replacement_, 0).value;
    const auto is_delimiter = [delimiter](char32_t c) { return c == delimiter; };
    CharacterSplit(is_delimiter, SplitBehavior::kMergedWithNext).apply(text);
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  bool split_;
};

/// Cuts into pieces of `length` code points.
class FixedLength : public PreTokenizer {
 public:
  explicit FixedLength(std::size_t length) : length_(length) {}
  void apply(PreTokenizedText& text) const override {
    split_pieces(text, SplitBehavior::kIsolated,
                 [this](std::string_view piece, std::vector<SplitPart>& parts) {
                   std::size_t begin = 0;
                   std::size_t count = 0;
                   for (std::size_t i = 0; i < piece.size();) {
                     i += code_point_at(piece, i).length;
                     if (++count < length_ && i < piece.size()) continue;
                     parts.push_back({{begin, i}, false});
                     begin = i;
                     count = 0;
                   }
                 });
  }

 private:
  std::size_t length_;
};

class WordStartSplit : public PreTokenizer {
 public:
  void apply(PreTokenizedText& text) const override {
    split_pieces(text, SplitBehavior::kIsolated, [](std::string_view piece, std::vector<SplitPart>& parts) {
      std::size_t begin = 0;
      std::size_t found = piece.find(kMetaspace);
      while (found != std::string_view::npos) {
        const bool continues = found >= kMetaspace.size() && piece.substr(0, found).ends_with(kMetaspace);
        if (found > begin && !continues) {
          parts.push_back({{begin, found}, false});
          begin = found;
        }
        found = piece.find(kMetaspace, found + kMetaspace.size());
      }
      parts.push_back({{begin, piece.size()}, false});
    });
  }
};

/// A pattern for stretches of one script, each with the spaces and unassigned characters that follow.
/// Japanese scripts count as Han. Spaces at the very start match nothing and are dropped.
std::string script_pattern() {
  std::string pattern =
      "[\\p{sc:Han}\\p{sc:Hiragana}\\p{sc:Katakana}\\x{30FC}]"
      "[\\p{sc:Han}\\p{sc:Hiragana}\\p{sc:Katakana}\\x{30FC}\\p{sc:Unknown} ]*";
  for (const std::string_view script : unicode_scripts()) {
    if (script == "Han" || script == "Hiragana" || script == "Katakana") continue;
    // The prolonged sound mark U+30FC counts as Han although its script is Common.
    pattern += fmt::format(
        "|(?![ \\x{{30FC}}])\\p{{sc:{0}}}(?:(?!\\x{{30FC}})[\\p{{sc:{0}}}\\p{{sc:Unknown}} ])*", script);
  }
  return pattern;
}

SplitBehavior read_behavior(const Json& description, std::string_view fallback) {
  const std::string name = field_or<std::string>(description, "behavior", std::string(fallback));
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  throw_bad_field(description, "behavior", "the name of a split behavior");
}

char32_t read_character(const Json& description, std::string_view key, std::string_view fallback) {
  const std::string text = field_or<std::string>(description, key, std::string(fallback));
  if (count_code_points(text) != 1) throw_bad_field(description, key, "one character");
  return code_point_at(text, 0).value;
}

PreTokenizerPtr read_metaspace(const Json& description) {
  // Files from before there was a scheme say only whether there is a prefix.
  const bool old_prefix = field_or<bool>(description, "add_prefix_space", true);
  const std::string scheme =
      field_or<std::string>(description, "prepend_scheme", old_prefix ? "always" : "never");
  Metaspace::Prepend prepend = Metaspace::Prepend::kAlways;
  if (scheme == "first") {
    prepend = Metaspace::Prepend::kFirst;
  } else if (scheme == "never" || !old_prefix) {
    prepend = Metaspace::Prepend::kNever;
  } else if (scheme != "always") {
    throw_bad_field(description, "prepend_scheme", "always, first or never");
  }
  const std::string replacement = to_utf8(read_character(description, "replacement", kMetaspace));
  return std::make_unique<Metaspace>(replacement, prepend, field_or<bool>(description, "split", true));
}

}  // namespace

void append_split(const std::vector<SplitPart>& parts, SplitBehavior behavior, std::vector<Span>& pieces) {
  const auto append = [&](const Span& span) {
    if (span.size() > 0) pieces.push_back(span);
  };
  // Pieces grow from the parts of a run: `begin` is where the current one starts.
  std::size_t begin = parts.empty() ? 0 : parts[0].span.begin;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const SplitPart& part = parts[i];
    const SplitPart* next = i + 1 < parts.size() ? &parts[i + 1] : nullptr;
    bool joins_next = false;
    if (next != nullptr) {
      if (behavior == SplitBehavior::kMergedWithPrevious) joins_next = next->is_match && !part.is_match;
      if (behavior == SplitBehavior::kMergedWithNext) joins_next = part.is_match && !next->is_match;
      if (behavior == SplitBehavior::kContiguous) joins_next = part.is_match == next->is_match;
    }
    if (joins_next) continue;
    if (behavior != SplitBehavior::kRemoved || !part.is_match) append({begin, part.span.end});
    begin = part.span.end;
  }
}

PreTokenizerPtr make_pre_tokenizer_sequence(std::vector<PreTokenizerPtr> pre_tokenizers) {
  return std::make_unique<Sequence>(std::move(pre_tokenizers));
}

PreTokenizerPtr make_split(Regex pattern, SplitBehavior behavior, bool invert) {
  return std::make_unique<Split>(std::move(pattern), behavior, invert);
}

PreTokenizerPtr make_byte_level(bool add_prefix_space, bool use_regex) {
  return std::make_unique<ByteLevel>(add_prefix_space, use_regex);
}

PreTokenizerPtr make_word_start_split() {
  return std::make_unique<WordStartSplit>();
}

PreTokenizerPtr make_pre_tokenizer(const Json& description) {
  if (description.is_null()) return nullptr;
  const std::string type = stage_type(description);
  const auto flag = [&](std::string_view name, bool fallback) {
    return field_or<bool>(description, name, fallback);
  };
  if (type == "Sequence") {
    return make_pre_tokenizer_sequence(make_all(description, "pretokenizers", make_pre_tokenizer));
  }
  if (type == "ByteLevel") return make_byte_level(flag("add_prefix_space", true), flag("use_regex", true));
  if (type == "Metaspace") return read_metaspace(description);
  if (type == "Split") {
    return make_split(pattern_field(description), read_behavior(description, ""), flag("invert", false));
  }
  if (type == "Digits") {
    const bool individual = flag("individual_digits", false);
    return make_character_split(is_numeric,
                                individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  }
  if (type == "Punctuation")
    return make_character_split(is_punctuation, read_behavior(description, "Isolated"));
  if (type == "Whitespace") {
    // Words as Rust defines them, which counts joiners and no fractions, and runs of other visible
    // characters.
    constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control})";
    return make_split(Regex(fmt::format("[{0}]+|[^{0}\\p{{White_Space}}]+", kWord)), SplitBehavior::kRemoved,
                      true);
  }
  if (type == "WhitespaceSplit") return make_character_split(is_white_space, SplitBehavior::kRemoved);
  if (type == "BertPreTokenizer") {
    std::vector<PreTokenizerPtr> stages;
    stages.push_back(make_character_split(is_white_space, SplitBehavior::kRemoved));
    stages.push_back(make_character_split(is_punctuation, SplitBehavior::kIsolated));
    return make_pre_tokenizer_sequence(std::move(stages));
  }
  if (type == "CharDelimiterSplit") {
    const char32_t delimiter = read_character(description, "delimiter", "");
    return make_character_split([delimiter](char32_t c) { return c == delimiter; }, SplitBehavior::kRemoved);
  }
  if (type == "UnicodeScripts") return make_split(Regex(script_pattern()), SplitBehavior::kRemoved, true);
  if (type == "FixedLength") {
    const std::int64_t length = field_or<std::int64_t>(description, "length", 5);
    if (length <= 0) throw_bad_field(description, "length", "a positive number");
    return std::make_unique<FixedLength>(static_cast<std::size_t>(length));
  }
  throw_unknown_stage("pre_tokenizer", type);
}

}  // namespace farthing::tokenizer
