// The two models that look up words: whole ones, and words cut greedily into the longest known prefixes.
#pragma once

#include <string>

#include "tokenizer/model.h"

namespace farthing::tokenizer {

/// Every piece is one token, or the unknown token.
class WordLevel : public Model {
 public:
  WordLevel(Vocabulary vocabulary, std::string unk_token);
  void tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const override;

 private:
  std::string unk_token_;
};

/// WordPiece (as in BERT): the longest token that the rest of the piece starts with, again and again; tokens
/// inside a piece carry `prefix`. A piece that cannot be covered, or is longer than `max_characters`, is the
/// unknown token.
class WordPiece : public Model {
 public:
  WordPiece(Vocabulary vocabulary, std::string unk_token, std::string prefix, std::size_t max_characters);
  void tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const override;

 private:
  bool append_tokens(std::string_view piece, std::vector<std::int32_t>& ids) const;

  std::string unk_token_;
  std::string prefix_;
  std::size_t max_characters_;
};

}  // namespace farthing::tokenizer
