// What a tokenizer consists of, and the readers that put one together from each kind of file.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "tokenizer/added_tokens.h"
#include "tokenizer/decoder.h"
#include "tokenizer/json_tables.h"
#include "tokenizer/model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_config.h"

namespace farthing::tokenizer {

/// Which of the tokens with the roles of beginning and end surround a text.
struct Framing {
  bool add_bos_token = false;
  bool add_eos_token = false;
};

struct Tokenizer::Parts {
  AddedTokens added_tokens;
  NormalizerPtr normalizer;       // may be null
  PreTokenizerPtr pre_tokenizer;  // may be null
  ModelPtr model;
  PostProcessor post_processor;
  std::optional<Framing> framing;  // in place of the post-processor
  DecoderPtr decoder;              // null: join tokens with spaces

  std::map<std::string, std::string, std::less<>> roles;  // "bos_token" to "<s>"
  std::optional<std::int64_t> model_max_length;
  bool clean_up_tokenization_spaces = false;

  std::optional<std::int32_t> token_id(std::string_view token) const;

  /// The added token with an id or, since vocabularies may list a token twice, with the content of that id;
  /// or null.
  const AddedToken* added_token(std::int32_t id) const;
};

/// Reads tokenizer.json. Throws kCorruptData or kUnsupported.
Tokenizer::Parts read_tokenizer_json(const std::filesystem::path& file, const TokenizerConfig& config);

/// The same from what was parsed or put together.
Tokenizer::Parts make_json_parts(TokenizerJson json, const TokenizerConfig& config);

/// Reads the tokenizer.model of SentencePiece, BPE or unigram. Throws kCorruptData or kUnsupported.
Tokenizer::Parts read_sentencepiece_model(const std::filesystem::path& file, const TokenizerConfig& config);

/// Reads vocab.json and merges.txt, the files of byte-level BPE. Throws kCorruptData or kUnsupported.
Tokenizer::Parts read_vocab_and_merges(const std::filesystem::path& vocab_file,
                                       const std::filesystem::path& merges_file,
                                       const TokenizerConfig& config);

/// Reads Mistral's tekken.json. Throws kCorruptData or kUnsupported.
Tokenizer::Parts read_tekken_json(const std::filesystem::path& file);

/// Adds what the configuration says to the parts of any file: added tokens, roles, limits; resolves the
/// framing and prepares the search for added tokens. Call it once, last.
void complete_parts(Tokenizer::Parts& parts, const TokenizerConfig& config);

}  // namespace farthing::tokenizer
