// The unigram language model of SentencePiece (Kudo 2018, arXiv:1804.10959): the cut of a piece into tokens
// with the highest sum of log-probabilities, found by dynamic programming.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/trie.h"

namespace farthing::tokenizer {

class Unigram : public Model {
 public:
  /// `scores[id]` is the log-probability of a token. With `byte_fallback`, unknown characters become tokens
  /// <0x00> ... <0xFF> where these exist. Tokens in `unused` never come out. Throws kCorruptData when the
  /// sizes differ, a score is not finite or `unk_id` is outside.
  Unigram(Vocabulary vocabulary, std::vector<double> scores, std::optional<std::int32_t> unk_id,
          bool byte_fallback, const std::vector<bool>& unused = {});

  void tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const override;

 private:
  /// Appends the ids of a token or of a run of unknown characters.
  void append_token(std::string_view token, std::vector<std::int32_t>& ids) const;

  std::vector<double> scores_;
  std::optional<std::int32_t> unk_id_;
  bool byte_fallback_;
  double unknown_score_;
  Trie trie_;
};

}  // namespace farthing::tokenizer
