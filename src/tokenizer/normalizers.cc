// Every normalizer of tokenizer.json. What each does is said beside its class; the names are the file's.
#include <functional>
#include <utility>

#include "tokenizer/base64.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/stage_description.h"

namespace farthing::tokenizer {

namespace {

class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<NormalizerPtr> normalizers) : normalizers_(std::move(normalizers)) {}
  void apply(NormalizedText& text) const override {
    for (const NormalizerPtr& normalizer : normalizers_) normalizer->apply(text);
  }

 private:
  std::vector<NormalizerPtr> normalizers_;
};

class Unicode : public Normalizer {
 public:
  explicit Unicode(NormalizationForm form) : form_(form) {}
  void apply(NormalizedText& text) const override { text.text = normalize(text.text, form_); }

 private:
  NormalizationForm form_;
};

/// Rewrites the text one code point at a time: `map(code_point, result)` appends what replaces it, if
/// anything.
template <typename Map>
void map_code_points(NormalizedText& text, Map map) {
  std::string result;
  result.reserve(text.text.size());
  for (std::size_t i = 0; i < text.text.size();) {
    const CodePoint code_point = code_point_at(text.text, i);
    map(code_point.value, result);
    i += code_point.length;
    if (result.empty()) text.at_start = false;  // the first character went away
  }
  text.text = std::move(result);
}

/// A normalizer that treats every code point for itself.
class CodePointMap : public Normalizer {
 public:
  using Map = void (*)(char32_t code_point, std::string& result);
  explicit CodePointMap(Map map) : map_(map) {}
  void apply(NormalizedText& text) const override { map_code_points(text, map_); }

 private:
  Map map_;
};

void strip_accent(char32_t code_point, std::string& result) {
  if (!is_mark(code_point)) append_utf8(result, code_point);
}

/// "Nmt": removes control characters, turns unusual white space (and U+2581) into spaces.
void clean_for_translation(char32_t c, std::string& result) {
  if ((c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F ||
      c == 0x9F)
    return;
  const bool space = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                     (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                     c == 0xFEFF || c == 0xFFFD;
  append_utf8(result, space ? U' ' : c);
}

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(NormalizedText& text) const override {
    std::size_t begin = 0;
    std::size_t end = text.text.size();
    while (left_ && begin < end) {
      const CodePoint first = code_point_at(text.text, begin);
      if (!is_white_space(first.value)) break;
      begin += first.length;
    }
    while (right_ && begin < end) {
      const CodePoint last = code_point_before(text.text, end);
      if (!is_white_space(last.value)) break;
      end -= last.length;
    }
    if (begin > 0) text.at_start = false;
    text.text = text.text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(NormalizedText& text) const override {
    if (!text.text.empty()) text.text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace : public Normalizer {
 public:
  Replace(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(NormalizedText& text) const override {
    std::vector<Span> matches;
    pattern_.find_all(text.text, matches);
    if (matches.empty()) return;
    const Span first = matches[0];
    const bool keeps_start = first.begin > 0 || (!content_.empty() && first.size() > 0 &&
                                                 first.size() == code_point_at(text.text, 0).length);
    text.at_start = text.at_start && keeps_start;
    std::string result;
    std::size_t copied = 0;
    for (const Span& match : matches) {
      result.append(text.text, copied, match.begin - copied);
      result += content_;
      copied = match.end;
    }
    result.append(text.text, copied);
    text.text = std::move(result);
  }

 private:
  Regex pattern_;
  std::string content_;
};

/// Replaces graphemes of less than six bytes by what the map says of their shortest prefix, and where that is
/// nothing, their code points. Strange, but models were trained with it.
class Precompiled : public Normalizer {
 public:
  explicit Precompiled(PrecompiledCharsmap charsmap) : charsmap_(std::move(charsmap)) {}
  void apply(NormalizedText& text) const override {
    constexpr std::size_t kLongestGrapheme = 5;
    std::string result;
    result.reserve(text.text.size());
    std::string_view rest = text.text;
    while (!rest.empty()) {
      std::string_view grapheme = rest.substr(0, grapheme_length(rest));
      rest.remove_prefix(grapheme.size());
      const auto whole =
          grapheme.size() <= kLongestGrapheme ? charsmap_.shortest_prefix(grapheme) : std::nullopt;
      if (whole) {
        result += whole->replacement;
      } else {
        while (!grapheme.empty()) {
          const std::string_view character = grapheme.substr(0, code_point_at(grapheme, 0).length);
          const auto match = charsmap_.shortest_prefix(character);
          result += match ? match->replacement : character;
          grapheme.remove_prefix(character.size());
        }
      }
      if (result.empty()) text.at_start = false;
    }
    text.text = std::move(result);
  }

 private:
  PrecompiledCharsmap charsmap_;
};

class Bert : public Normalizer {
 public:
  Bert(bool clean_text, bool handle_chinese_chars, bool strip_accents, bool lowercase)
      : clean_text_(clean_text),
        handle_chinese_chars_(handle_chinese_chars),
        strip_accents_(strip_accents),
        lowercase_(lowercase) {}

  void apply(NormalizedText& text) const override {
    if (clean_text_) map_code_points(text, clean);
    if (handle_chinese_chars_) map_code_points(text, isolate_ideograph);
    if (strip_accents_) {
      text.text = normalize(text.text, NormalizationForm::kNfd);
      map_code_points(text, [](char32_t code_point, std::string& result) {
        if (!is_nonspacing_mark(code_point)) append_utf8(result, code_point);
      });
    }
    if (lowercase_)
      map_code_points(text, [](char32_t c, std::string& result) { append_lowercase(result, c); });
  }

 private:
  static void clean(char32_t c, std::string& result) {
    const bool layout = c == '\t' || c == '\n' || c == '\r';
    if (c == 0 || c == 0xFFFD || (is_other(c) && !layout)) return;
    append_utf8(result, is_white_space(c) ? U' ' : c);
  }

  static void isolate_ideograph(char32_t c, std::string& result) {
    // The ranges of the original, whose sixth begins 256 too late.
    const bool ideograph = (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
                           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
                           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
                           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
    if (ideograph) result += ' ';
    append_utf8(result, c);
    if (ideograph) result += ' ';
  }

  bool clean_text_, handle_chinese_chars_, strip_accents_, lowercase_;
};

class ByteLevel : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    std::string result;
    append_byte_level(result, text.text);
    text.text = std::move(result);
  }
};

class SentencePiece : public Normalizer {
 public:
  explicit SentencePiece(SentencePieceNormalization options) : options_(std::move(options)) {}

  void apply(NormalizedText& text) const override {
    if (text.text.empty()) return;
    std::string result = mapped(text.text);
    if (options_.remove_extra_whitespaces) collapse_spaces(result);
    const bool has_prefix = result.starts_with(' ') || result.starts_with(kMetaspace);
    if (options_.add_dummy_prefix && (!options_.prefix_only_at_start || (text.at_start && !has_prefix))) {
      result.insert(0, 1, ' ');
    }
    if (options_.escape_whitespaces) result = escaped(result);
    if (options_.remove_extra_whitespaces) remove_trailing_spaces(result);
    text.text = std::move(result);
  }

 private:
  std::string mapped(std::string_view text) const {
    if (options_.charsmap.empty()) return std::string(text);
    std::string result;
    result.reserve(text.size());
    while (!text.empty()) {
      const auto match = options_.charsmap.longest_prefix(text);
      const std::size_t length = match ? match->length : code_point_at(text, 0).length;
      result += match ? match->replacement : text.substr(0, length);
      text.remove_prefix(length);
    }
    return result;
  }

  /// Leaves one space of every run, and none at the start.
  static void collapse_spaces(std::string& text) {
    std::size_t kept = 0;
    for (const char c : text) {
      if (c != ' ' || (kept > 0 && text[kept - 1] != ' ')) text[kept++] = c;
    }
    text.resize(kept);
  }

  void remove_trailing_spaces(std::string& text) const {
    const std::string_view space = options_.escape_whitespaces ? kMetaspace : " ";
    while (text.ends_with(space)) text.resize(text.size() - space.size());
  }

  static std::string escaped(std::string_view text) {
    std::string result;
    result.reserve(text.size() + text.size() / 2);
    for (const char c : text) {
      if (c == ' ') {
        result += kMetaspace;
      } else {
        result += c;
      }
    }
    return result;
  }

  SentencePieceNormalization options_;
};

PrecompiledCharsmap read_charsmap(const Json& description) {
  const auto binary = decode_base64(require_field<std::string>(description, "precompiled_charsmap"));
  FARTHING_REQUIRE(binary.has_value(), Code::kCorruptData, "precompiled_charsmap is not base64");
  return PrecompiledCharsmap(*binary);
}

}  // namespace

NormalizerPtr make_normalizer_sequence(std::vector<NormalizerPtr> normalizers) {
  return std::make_unique<Sequence>(std::move(normalizers));
}

NormalizerPtr make_unicode_normalizer(NormalizationForm form) {
  return std::make_unique<Unicode>(form);
}

NormalizerPtr make_sentencepiece_normalizer(SentencePieceNormalization options) {
  return std::make_unique<SentencePiece>(std::move(options));
}

NormalizerPtr make_normalizer(const Json& description) {
  if (description.is_null()) return nullptr;
  const std::string type = stage_type(description);
  const auto flag = [&](std::string_view name, bool fallback) {
    return field_or<bool>(description, name, fallback);
  };
  if (type == "Sequence")
    return make_normalizer_sequence(make_all(description, "normalizers", make_normalizer));
  if (type == "NFC") return make_unicode_normalizer(NormalizationForm::kNfc);
  if (type == "NFD") return make_unicode_normalizer(NormalizationForm::kNfd);
  if (type == "NFKC") return make_unicode_normalizer(NormalizationForm::kNfkc);
  if (type == "NFKD") return make_unicode_normalizer(NormalizationForm::kNfkd);
  if (type == "Lowercase") {
    return std::make_unique<CodePointMap>(
        [](char32_t c, std::string& result) { append_lowercase(result, c); });
  }
  if (type == "StripAccents") return std::make_unique<CodePointMap>(strip_accent);
  if (type == "Nmt") return std::make_unique<CodePointMap>(clean_for_translation);
  if (type == "Strip") return std::make_unique<Strip>(flag("strip_left", true), flag("strip_right", true));
  if (type == "Prepend") return std::make_unique<Prepend>(require_field<std::string>(description, "prepend"));
  if (type == "Replace") {
    return std::make_unique<Replace>(pattern_field(description),
                                     require_field<std::string>(description, "content"));
  }
  if (type == "Precompiled") return std::make_unique<Precompiled>(read_charsmap(description));
  if (type == "BertNormalizer") {
    const bool lowercase = flag("lowercase", true);
    return std::make_unique<Bert>(flag("clean_text", true), flag("handle_chinese_chars", true),
                                  flag("strip_accents", lowercase), lowercase);
  }
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  throw_unknown_stage("normalizer", type);
}

}  // namespace farthing::tokenizer
