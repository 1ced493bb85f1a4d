// Text to token ids and back, from whatever tokenizer files a checkpoint folder holds. The stages are those
// of a Hugging Face tokenizer.json: added tokens, normalizer, pre-tokenizer, model, post-processor, decoder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace farthing::tokenizer {

/// A token with a role, such as bos_token, and its id.
struct SpecialToken {
  std::string content;
  std::int32_t id = 0;
};

struct EncodeOptions {
  /// Adds what the post-processor adds, such as a beginning-of-sequence token.
  bool add_special_tokens = true;
  /// False: special tokens spelled out in the text are plain text, so that a user cannot forge a chat turn.
  bool parse_special_tokens = true;
  /// Cuts the text's own ids at the right so that the result, special tokens included, is at most this long.
  std::optional<std::int64_t> max_length;
};

struct DecodeOptions {
  /// Leaves special tokens out of the text.
  bool skip_special_tokens = true;
  /// Removes spaces before punctuation and English contractions; nothing means as tokenizer_config.json says.
  std::optional<bool> clean_up_tokenization_spaces;
};

/// An immutable tokenizer: copies are cheap and share it, and every method may be called from several
/// threads.
class Tokenizer {
 public:
  /// Opens the tokenizer in `directory`: tokenizer.json, else tokenizer.model, else tekken.json, else
  /// vocab.json with merges.txt; tokenizer_config.json, special_tokens_map.json and added_tokens.json
  /// complete it where they exist. Throws kNotFound listing what is there and what is missing, kCorruptData,
  /// or kUnsupported for a stage or a pattern that is not known.
  static Tokenizer open(const std::filesystem::path& directory);

  /// Returns the ids of `text`. Bytes that are not UTF-8 count as U+FFFD. Throws kUnsupported when the model
  /// has no way to express a piece (no unknown token), or when a pattern of the file needs unreasonable work.
  std::vector<std::int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  /// Returns the text of `ids`, always valid UTF-8. Ids outside the vocabulary contribute nothing.
  std::string decode(std::span<const std::int32_t> ids, const DecodeOptions& options = {}) const;

  /// The highest id of the vocabulary, added tokens included, plus one.
  std::int64_t vocab_size() const;

  /// The id of a token in the spelling of the vocabulary (such as "\u0120hello"), or nothing.
  std::optional<std::int32_t> token_id(std::string_view token) const;

  /// The token of an id in the spelling of the vocabulary, or nothing.
  std::optional<std::string> token(std::int32_t id) const;

  /// Whether decoding may skip the token: a control token, not text.
  bool is_special(std::int32_t id) const;

  /// The token that tokenizer_config.json or special_tokens_map.json gives the role `name`: "bos_token",
  /// "eos_token", "pad_token", "unk_token", or one of its own such as "image_token". Nothing when the role is
  /// not filled.
  std::optional<std::string> special_token(std::string_view name) const;

  /// The same with its id; nothing also when the vocabulary lacks the token.
  std::optional<SpecialToken> special_token_with_id(std::string_view name) const;

  /// How many tokens the post-processor adds to a text.
  std::int64_t num_special_tokens_to_add() const;

  /// The longest input the model was made for; nothing when the file does not say or names a huge
  /// placeholder.
  std::optional<std::int64_t> model_max_length() const;

  /// What tokenizer_config.json says of cleaning up spaces when decoding; false when it is silent.
  bool clean_up_tokenization_spaces() const;

  struct Parts;  // see tokenizer/parts.h
  explicit Tokenizer(std::shared_ptr<const Parts> parts);

 private:
  std::shared_ptr<const Parts> parts_;
};

/// Turns ids into text as they come: each push returns the text that became certain, never half a character.
/// All returned texts together are the decoded text of all ids, without the clean-up of spaces.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, const DecodeOptions& options = {});

  /// Takes the next id and returns the new text, which is empty while a character is incomplete.
  std::string push(std::int32_t id);

  /// Returns the rest: incomplete characters become U+FFFD. The decoder is then as new.
  std::string finish();

 private:
  std::string decode(std::size_t begin, std::size_t end) const;
  std::string pending_text() const;

  Tokenizer tokenizer_;
  DecodeOptions options_;
  std::vector<std::int32_t> window_;  // the ids last emitted, as context, then the pending ones
  std::size_t num_emitted_ = 0;       // of window_
};

}  // namespace farthing::tokenizer
