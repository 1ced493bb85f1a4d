// JSON files of tokenizers. Their vocabularies and merges have hundreds of thousands of entries, so these go
// straight into tables while the file is parsed; only the small rest becomes a tree.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/vocabulary.h"

namespace farthing::tokenizer {

/// The merges of a byte-pair encoding, most important first: two tokens that are replaced by their
/// concatenation.
class MergeList {
 public:
  struct Merge {
    std::string_view left, right;
  };

  void add(std::string_view left, std::string_view right);
  std::size_t size() const { return lengths_.size(); }

  /// Calls `visit(index, merge)` for every merge in order.
  template <typename Visit>
  void for_each(Visit visit) const {
    const std::string_view arena = arena_;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < lengths_.size(); ++i) {
      const auto [left, right] = lengths_[i];
      visit(i, Merge{arena.substr(begin, left), arena.substr(begin + left, right)});
      begin += left + right;
    }
  }

 private:
  struct Lengths {
    std::uint32_t left, right;
  };
  std::string arena_;
  std::vector<Lengths> lengths_;
};

/// The tables in the "model" of a tokenizer.json.
struct ModelTables {
  Vocabulary vocabulary;
  std::vector<double> scores;  // by id, of a unigram vocabulary
  MergeList merges;
};

struct TokenizerJson {
  Json tree;  // without "vocab" and "merges" of its "model"
  ModelTables tables;
};

/// Parses tokenizer.json. Throws kCorruptData when it is not JSON, a table has entries of the wrong type, it
/// is nested more deeply than any tokenizer is, or one object has an absurd number of fields; `origin` names
/// it in messages.
TokenizerJson parse_tokenizer_json(std::string_view text, std::string_view origin);

/// Parses vocab.json: one object of token to id.
Vocabulary parse_vocabulary_json(std::string_view text, std::string_view origin);

/// Parses any other file of a tokenizer, under the same limits.
Json parse_json_tree(std::string_view text, std::string_view origin);

/// Splits "left right" at its only space. Throws kCorruptData when it is not of this form.
MergeList::Merge split_merge(std::string_view line);

}  // namespace farthing::tokenizer
