// The unigram language model of SentencePiece (Kudo 2018, arXiv:1804.10959): the cut of a piece into tokens
// with the highest sum of log-probabilities, found by dynamic programming.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tokenizer/model.h"
#include "tokenizer/trie.h"

namespace farthing::tokenizer {

struct UnigramOptions {
  std::optional<std::int32_t> unk_id;  // stands for runs of unknown characters
  bool byte_fallback = false;          // unknown characters become tokens <0x00> ... <0xFF> where these exist
  bool single_precision = false;  // sum the scores as SentencePiece does, which decides between equal cuts
  std::vector<bool> unused;       // by id: tokens that never come out; may be shorter than the vocabulary
};

class Unigram : public Model {
 public:
  /// `scores[id]` is the log-probability of a token. Throws kCorruptData when there is not one for each
  /// token, one is not finite, or `unk_id` is outside the vocabulary.
  Unigram(Vocabulary vocabulary, std::vector<double> scores, UnigramOptions options);

  void tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const override;

 private:
  /// Appends the ids of a token or of a run of unknown characters.
  void append_token(std::string_view token, std::vector<std::int32_t>& ids) const;

  std::vector<double> scores_;
  UnigramOptions options_;
  double unknown_score_;
  Trie trie_;
};

}  // namespace farthing::tokenizer
