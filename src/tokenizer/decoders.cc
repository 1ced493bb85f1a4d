// Every decoder of tokenizer.json. What each does is said beside its class; the names are the file's.
#include <charconv>
#include <optional>
#include <utility>

#include "tokenizer/byte_level.h"
#include "tokenizer/decoder.h"
#include "tokenizer/stage_description.h"
#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  std::size_t found = text.find(from);
  if (found == std::string::npos) return;
  std::string result;
  std::size_t copied = 0;
  for (; found != std::string::npos; found = text.find(from, copied)) {
    result.append(text, copied, found - copied);
    result += to;
    copied = found + from.size();
  }
  result.append(text, copied);
  text = std::move(result);
}

std::string concatenate(const std::vector<std::string>& tokens) {
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

class Sequence : public Decoder {
 public:
  explicit Sequence(std::vector<DecoderPtr> decoders) : decoders_(std::move(decoders)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (const DecoderPtr& decoder : decoders_) decoder->apply(tokens);
  }

 private:
  std::vector<DecoderPtr> decoders_;
};

class ByteLevel : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) append_byte_level_decoded(bytes, token);
    tokens.assign(1, to_valid_utf8(bytes));
  }
};

/// Turns runs of tokens <0x00> ... <0xFF> into text; a run that is not UTF-8 gives U+FFFD for each of its
/// bytes.
class ByteFallback : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> result;
    result.reserve(tokens.size());
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (valid_utf8_prefix(bytes) == bytes.size()) {
        result.push_back(bytes);
      } else {
        result.insert(result.end(), bytes.size(), std::string(kReplacementCharacter));
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = byte_of(token)) {
        bytes.push_back(*byte);
      } else {
        flush();
        result.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(result);
  }

 private:
  static std::optional<char> byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
    if (error != std::errc() || end != token.data() + 5) return std::nullopt;
    return static_cast<char>(value);
  }
};

/// Joins all tokens into one.
class Fuse : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override { tokens.assign(1, concatenate(tokens)); }
};

class Replace : public Decoder {
 public:
  Replace(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<Span> matches;
    for (std::string& token : tokens) {
      matches.clear();
      pattern_.find_all(token, matches);
      for (auto match = matches.rbegin(); match != matches.rend(); ++match) {
        token.replace(match->begin, match->size(), content_);
      }
    }
  }

 private:
  Regex pattern_;
  std::string content_;
};

/// Removes up to `start` copies of a character at the start of each token and up to `stop` at its end.
class Strip : public Decoder {
 public:
  Strip(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (std::size_t i = 0; i < start_ && rest.starts_with(content_); ++i)
        rest.remove_prefix(content_.size());
      for (std::size_t i = 0; i < stop_ && rest.ends_with(content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  std::size_t start_, stop_;
};

/// Turns the replacement character back into spaces; those of the first token were never in the text.
class Metaspace : public Decoder {
 public:
  Metaspace(std::string replacement, bool has_prefix)
      : replacement_(std::move(replacement)), has_prefix_(has_prefix) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      replace_all(tokens[i], replacement_, i == 0 && has_prefix_ ? "" : " ");
    }
  }

 private:
  std::string replacement_;
  bool has_prefix_;
};

/// The clean-up of the WordPiece and CTC decoders: that of the whole text, and one contraction more.
std::string clean_up_token(std::string token) {
  for (const std::string_view mark : {".", "?", "!", ","}) replace_all(token, fmt::format(" {}", mark), mark);
  replace_all(token, " ' ", "'");
  replace_all(token, " n't", "n't");
  replace_all(token, " 'm", "'m");
  replace_all(token, " do not", " don't");
  for (const std::string_view ending : {"'s", "'ve", "'re"})
    replace_all(token, fmt::format(" {}", ending), ending);
  return token;
}

class WordPiece : public Decoder {
 public:
  WordPiece(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0)
        tokens[i] = tokens[i].starts_with(prefix_) ? tokens[i].substr(prefix_.size()) : " " + tokens[i];
      if (cleanup_) tokens[i] = clean_up_token(std::move(tokens[i]));
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

/// Turns the end-of-word suffix into spaces, at the end of the text into nothing.
class Bpe : public Decoder {
 public:
  explicit Bpe(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      replace_all(tokens[i], suffix_, i + 1 < tokens.size() ? " " : "");
  }

 private:
  std::string suffix_;
};

/// Connectionist temporal classification: drops repetitions and the padding between them.
class Ctc : public Decoder {
 public:
  Ctc(std::string pad_token, std::string word_delimiter, bool cleanup)
      : pad_token_(std::move(pad_token)), word_delimiter_(std::move(word_delimiter)), cleanup_(cleanup) {}
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> result;
    const std::string* previous = nullptr;
    for (const std::string& token : tokens) {
      const bool repeated = previous != nullptr && *previous == token;
      previous = &token;
      if (repeated) continue;
      std::string text = token;
      replace_all(text, pad_token_, "");
      if (cleanup_) {
        text = clean_up_token(std::move(text));
        replace_all(text, word_delimiter_, " ");
      }
      if (!text.empty()) result.push_back(std::move(text));
    }
    tokens = std::move(result);
  }

 private:
  std::string pad_token_, word_delimiter_;
  bool cleanup_;
};

DecoderPtr read_strip(const Json& description) {
  const std::string content = field_or<std::string>(description, "content", " ");
  const auto start = field_or<std::int64_t>(description, "start", 0);
  const auto stop = field_or<std::int64_t>(description, "stop", 0);
  if (count_code_points(content) != 1) throw_bad_field(description, "content", "one character");
  if (start < 0) throw_bad_field(description, "start", "a number that is not negative");
  if (stop < 0) throw_bad_field(description, "stop", "a number that is not negative");
  return std::make_unique<Strip>(content, static_cast<std::size_t>(start), static_cast<std::size_t>(stop));
}

DecoderPtr read_metaspace(const Json& description) {
  const bool old_prefix = field_or<bool>(description, "add_prefix_space", true);
  const std::string scheme =
      field_or<std::string>(description, "prepend_scheme", old_prefix ? "always" : "never");
  const std::string replacement = field_or<std::string>(description, "replacement", std::string(kMetaspace));
  return std::make_unique<Metaspace>(replacement, scheme != "never");
}

}  // namespace

DecoderPtr make_byte_level_decoder() {
  return std::make_unique<ByteLevel>();
}

DecoderPtr make_sentencepiece_decoder(std::size_t max_leading_spaces) {
  std::vector<DecoderPtr> stages;
  stages.push_back(std::make_unique<Replace>(Regex::literal(kMetaspace), " "));
  stages.push_back(std::make_unique<ByteFallback>());
  stages.push_back(std::make_unique<Fuse>());
  stages.push_back(std::make_unique<Strip>(" ", max_leading_spaces, 0));
  return std::make_unique<Sequence>(std::move(stages));
}

std::string clean_up_spaces(std::string text) {
  for (const std::string_view mark : {".", "?", "!", ","}) replace_all(text, fmt::format(" {}", mark), mark);
  replace_all(text, " ' ", "'");
  for (const std::string_view ending : {"n't", "'m", "'s", "'ve", "'re"}) {
    replace_all(text, fmt::format(" {}", ending), ending);
  }
  return text;
}

DecoderPtr make_decoder(const Json& description) {
  if (description.is_null()) return nullptr;
  const std::string type = stage_type(description);
  const auto text = [&](std::string_view key, const char* fallback) {
    return field_or<std::string>(description, key, fallback);
  };
  if (type == "Sequence") return std::make_unique<Sequence>(make_all(description, "decoders", make_decoder));
  if (type == "ByteLevel") return make_byte_level_decoder();
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Replace") {
    return std::make_unique<Replace>(pattern_field(description),
                                     require_field<std::string>(description, "content"));
  }
  if (type == "Strip") return read_strip(description);
  if (type == "Metaspace") return read_metaspace(description);
  if (type == "WordPiece") {
    return std::make_unique<WordPiece>(text("prefix", "##"), field_or<bool>(description, "cleanup", true));
  }
  if (type == "BPEDecoder") return std::make_unique<Bpe>(text("suffix", "</w>"));
  if (type == "CTC") {
    return std::make_unique<Ctc>(text("pad_token", "<pad>"), text("word_delimiter_token", "|"),
                                 field_or<bool>(description, "cleanup", true));
  }
  throw_unknown_stage("decoder", type);
}

}  // namespace farthing::tokenizer
