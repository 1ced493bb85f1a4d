// Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909): start from characters and merge the pair with
// the lowest rank, the leftmost on ties, until no pair can be merged.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "tokenizer/model.h"

namespace farthing::tokenizer {

struct BpeOptions {
  std::optional<std::string>
      unk_token;  // stands for characters outside the vocabulary; without it they are dropped
  std::string continuing_subword_prefix;  // in front of every character but the first of a piece
  std::string end_of_word_suffix;         // behind the last character of a piece
  bool fuse_unk = false;                  // one unknown token for a run of unknown characters
  bool byte_fallback = false;  // unknown characters become tokens <0x00> ... <0xFF> where these exist
  bool ignore_merges = false;  // a piece that is a token is that token, whatever the merges say
};

/// A merge in ids.
struct RankedMerge {
  std::int32_t left, right, result;
  std::int32_t rank;
};

/// Which pairs of tokens merge, in what order of importance, and into what: a hash table on the pair.
class MergeTable {
 public:
  struct Merge {
    std::int32_t rank = -1;  // -1: the pair does not merge
    std::int32_t result = -1;
  };

  MergeTable() : MergeTable(0) {}
  explicit MergeTable(std::size_t expected);

  /// Adds a merge; a pair that is there already takes the new rank.
  void insert(const RankedMerge& merge);
  Merge find(std::int32_t left, std::int32_t right) const;
  bool empty() const { return count_ == 0; }

 private:
  struct Slot {
    std::int32_t left = -1, right = -1;
    Merge merge;
  };
  std::size_t find_slot(std::int32_t left, std::int32_t right) const;

  std::vector<Slot> slots_;  // a power of two, at most half full
  std::size_t count_ = 0;
};

class Bpe : public Model {
 public:
  Bpe(Vocabulary vocabulary, const std::vector<RankedMerge>& merges, BpeOptions options);

  void tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  bool separable_at_word_starts() const override { return separable_; }

 private:
  struct Symbol;
  struct Candidate;
  void append_symbols(std::string_view piece, std::vector<Symbol>& symbols) const;
  void merge(std::vector<Symbol>& symbols) const;
  std::optional<std::int32_t> character_id(std::string_view character) const;
  bool append_bytes(std::string_view character, std::vector<Symbol>& symbols) const;

  BpeOptions options_;
  MergeTable merges_;
  std::int32_t unk_id_ = -1;
  std::array<std::int32_t, 256> byte_ids_;       // of <0x00> ... <0xFF>, or -1
  std::array<std::int32_t, 512> character_ids_;  // of the first code points, or -1: spares most look-ups
  bool separable_ = false;
};

/// Looks up the tokens of `merges`; their order is their rank. The result of a merge is the left token and
/// the right one without `prefix`. Throws kCorruptData naming a merge whose parts or result the vocabulary
/// lacks.
std::vector<RankedMerge> resolve_merges(const MergeList& merges, const Vocabulary& vocabulary,
                                        std::string_view prefix);

/// The merges that a ranked vocabulary implies, as for SentencePiece and tiktoken: every way of cutting a
/// token between two characters into two other tokens merges into it with its rank. `rank_of_id` holds -1 for
/// tokens that nothing merges into.
std::vector<RankedMerge> derive_merges(const Vocabulary& vocabulary,
                                       const std::vector<std::int32_t>& rank_of_id);

}  // namespace farthing::tokenizer
