#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/directory.h"
#include "base/error.h"
#include "tokenizer/parts.h"
#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

namespace {

/// Remembers the ids of words within one call: in any long text most words are repetitions.
class WordCache {
 public:
  explicit WordCache(const Model& model) : model_(model) {}

  void append_ids(std::string_view word, std::vector<std::int32_t>& ids) {
    if (word.size() > kMaxLength) return model_.tokenize(word, ids);
    const auto known = ids_of_word_.find(word);
    if (known != ids_of_word_.end()) {
      ids.insert(ids.end(), known->second.begin(), known->second.end());
      return;
    }
    const std::size_t size = ids.size();
    model_.tokenize(word, ids);
    if (ids_of_word_.size() >= kMaxWords) return;
    ids_of_word_.emplace(
        word, std::vector<std::int32_t>(ids.begin() + static_cast<std::ptrdiff_t>(size), ids.end()));
  }

 private:
  static constexpr std::size_t kMaxLength = 64;
  static constexpr std::size_t kMaxWords = 1 << 16;

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view word) const { return std::hash<std::string_view>{}(word); }
  };
  const Model& model_;
  std::unordered_map<std::string, std::vector<std::int32_t>, Hash, std::equal_to<>> ids_of_word_;
};

/// One call of encode: carries a text through the stages up to the model.
class Encoder {
 public:
  Encoder(const Tokenizer::Parts& parts, bool parse_special_tokens)
      : parts_(parts), parse_special_(parse_special_tokens), words_(*parts.model) {}

  std::vector<std::int32_t> run(std::string_view text) {
    for (const AddedTokens::Part& part : parts_.added_tokens.split(text, false, parse_special_)) {
      if (part.id) {
        ids_.push_back(*part.id);
      } else {
        NormalizedText stretch{std::string(text.substr(part.span.begin, part.span.size())),
                               part.span.begin == 0};
        if (parts_.normalizer != nullptr) parts_.normalizer->apply(stretch);
        encode_normalized(stretch);
      }
    }
    return std::move(ids_);
  }

 private:
  void encode_normalized(const NormalizedText& stretch) {
    for (const AddedTokens::Part& part : parts_.added_tokens.split(stretch.text, true, parse_special_)) {
      if (part.id) {
        ids_.push_back(*part.id);
      } else {
        PreTokenizedText text;
        text.text = stretch.text.substr(part.span.begin, part.span.size());
        text.pieces = {{0, text.text.size()}};
        text.at_start = stretch.at_start && part.span.begin == 0;
        if (parts_.pre_tokenizer != nullptr) parts_.pre_tokenizer->apply(text);
        for (const Span& span : text.pieces) encode_piece(text.piece(span));
      }
    }
  }

  void encode_piece(std::string_view piece) {
    const std::size_t size = ids_.size();
    words_.append_ids(piece, ids_);
    if (parse_special_) return;
    // Some models know control tokens as words. Plain text must not become one: cut behind its first
    // character.
    const auto cut = end_of_first_character(piece, size);
    if (!cut) return;
    ids_.resize(size);
    encode_piece(piece.substr(0, *cut));
    encode_piece(piece.substr(*cut));
  }

  /// Looks from id number `begin` on for a special token (but the unknown one) that the piece spells out, and
  /// returns where in the piece the first character of its first occurrence ends.
  std::optional<std::size_t> end_of_first_character(std::string_view piece, std::size_t begin) const {
    const auto unknown = parts_.roles.find("unk_token");
    for (std::size_t i = begin; i < ids_.size(); ++i) {
      const AddedToken* token = parts_.added_token(ids_[i]);
      if (token == nullptr || !token->special) continue;
      if (unknown != parts_.roles.end() && token->content == unknown->second) continue;
      const std::size_t found = piece.find(token->content);
      if (found == std::string_view::npos) continue;
      const std::size_t cut = found + code_point_at(piece, found).length;
      if (cut < piece.size()) return cut;
    }
    return std::nullopt;
  }

  const Tokenizer::Parts& parts_;
  bool parse_special_;
  WordCache words_;
  std::vector<std::int32_t> ids_;
};

/// What `directory` holds, for a message.
std::string describe_files(const std::filesystem::path& directory) {
  constexpr std::size_t kMaxListed = 20;
  std::vector<std::string> names = list_files(directory);
  if (names.empty()) return "no files";
  const std::size_t count = names.size();
  if (count > kMaxListed) names.resize(kMaxListed);
  const std::string text = fmt::format("{}", fmt::join(names, ", "));
  return count > kMaxListed ? fmt::format("{}, and {} more", text, count - kMaxListed) : text;
}

Tokenizer::Parts read_parts(const std::filesystem::path& directory, const TokenizerConfig& config) {
  const auto has = [&](const char* name) { return path_exists(directory / name); };
  if (has("tokenizer.json")) return read_tokenizer_json(directory / "tokenizer.json", config);
  if (has("tokenizer.model")) return read_sentencepiece_model(directory / "tokenizer.model", config);
  if (has("tekken.json")) return read_tekken_json(directory / "tekken.json");
  if (has("vocab.json") && has("merges.txt")) {
    return read_vocab_and_merges(directory / "vocab.json", directory / "merges.txt", config);
  }
  std::string missing = "tokenizer.json, tokenizer.model, tekken.json, or vocab.json with merges.txt";
  if (has("vocab.json")) missing = "merges.txt (or tokenizer.json or tokenizer.model)";
  if (has("merges.txt")) missing = "vocab.json (or tokenizer.json or tokenizer.model)";
  throw Error(Code::kNotFound, "no tokenizer in this folder",
              {{"folder", directory.string()}, {"missing", missing}, {"there", describe_files(directory)}},
              "copy the tokenizer files of the original checkpoint here");
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

Tokenizer Tokenizer::open(const std::filesystem::path& directory) {
  std::error_code ignored;
  FARTHING_REQUIRE(std::filesystem::is_directory(directory, ignored), Code::kNotFound, "no such folder",
                   {{"folder", directory.string()}});
  try {
    const TokenizerConfig config = read_tokenizer_config(directory);
    auto parts = std::make_shared<Parts>(read_parts(directory, config));
    complete_parts(*parts, config);
    return Tokenizer(std::move(parts));
  } catch (const Error& error) {
    const bool says_where = std::any_of(error.fields().begin(), error.fields().end(), [](const Field& field) {
      return field.name == "file" || field.name == "folder";
    });
    if (says_where) throw;
    std::vector<Field> fields = error.fields();
    fields.emplace_back("folder", directory.string());
    throw Error(error.code(), error.message(), std::move(fields), error.hint());
  }
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::string repaired;
  if (valid_utf8_prefix(text) != text.size()) {
    repaired = to_valid_utf8(text);
    text = repaired;
  }
  std::vector<std::int32_t> ids = Encoder(*parts_, options.parse_special_tokens).run(text);
  const std::int64_t num_special = options.add_special_tokens ? num_special_tokens_to_add() : 0;
  if (options.max_length) {
    FARTHING_REQUIRE(*options.max_length >= num_special, Code::kInvalidArgument,
                     "a text cannot be cut to fewer tokens than are added to it",
                     {{"max_length", *options.max_length}, {"special tokens", num_special}});
    const auto room = static_cast<std::size_t>(*options.max_length - num_special);
    if (ids.size() > room) ids.resize(room);
  }
  if (options.add_special_tokens) {
    const PostProcessor& frame = parts_->post_processor;
    ids.insert(ids.begin(), frame.before.begin(), frame.before.end());
    ids.insert(ids.end(), frame.after.begin(), frame.after.end());
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, const DecodeOptions& options) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const std::int32_t id : ids) {
    if (const AddedToken* added = parts_->added_token(id)) {
      if (!added->special || !options.skip_special_tokens) tokens.push_back(added->content);
    } else if (const auto token = parts_->model->vocabulary().token(id)) {
      tokens.emplace_back(*token);
    }
  }
  if (parts_->decoder != nullptr) parts_->decoder->apply(tokens);
  std::string text = fmt::format("{}", fmt::join(tokens, parts_->decoder != nullptr ? "" : " "));
  if (options.clean_up_tokenization_spaces.value_or(parts_->clean_up_tokenization_spaces)) {
    text = clean_up_spaces(std::move(text));
  }
  return text;
}

std::int64_t Tokenizer::vocab_size() const {
  std::int64_t size = parts_->model->vocabulary().id_limit();
  for (const AddedToken& token : parts_->added_tokens.tokens())
    size = std::max<std::int64_t>(size, token.id + 1);
  return size;
}

std::optional<std::int32_t> Tokenizer::token_id(std::string_view token) const {
  return parts_->token_id(token);
}

std::optional<std::string> Tokenizer::token(std::int32_t id) const {
  if (const AddedToken* added = parts_->added_token(id)) return added->content;
  const auto token = parts_->model->vocabulary().token(id);
  return token ? std::optional<std::string>(*token) : std::nullopt;
}

bool Tokenizer::is_special(std::int32_t id) const {
  const AddedToken* added = parts_->added_token(id);
  return added != nullptr && added->special;
}

std::optional<std::string> Tokenizer::special_token(std::string_view name) const {
  const auto found = parts_->roles.find(name);
  return found == parts_->roles.end() ? std::nullopt : std::optional(found->second);
}

std::optional<SpecialToken> Tokenizer::special_token_with_id(std::string_view name) const {
  const auto content = special_token(name);
  const auto id = content ? token_id(*content) : std::nullopt;
  return id ? std::optional(SpecialToken{*content, *id}) : std::nullopt;
}

std::int64_t Tokenizer::num_special_tokens_to_add() const {
  return static_cast<std::int64_t>(parts_->post_processor.before.size() +
                                   parts_->post_processor.after.size());
}

std::optional<std::int64_t> Tokenizer::model_max_length() const {
  return parts_->model_max_length;
}

bool Tokenizer::clean_up_tokenization_spaces() const {
  return parts_->clean_up_tokenization_spaces;
}

}  // namespace farthing::tokenizer
