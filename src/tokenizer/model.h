// The stage that turns one piece of text into ids.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/json_tables.h"
#include "tokenizer/vocabulary.h"

namespace farthing::tokenizer {

class Model {
 public:
  explicit Model(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  /// Appends the ids of `piece`, which is not empty. Throws kUnsupported when the model cannot express it.
  virtual void tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const = 0;

  /// Whether pieces may be cut before a U+2581 without changing any id.
  virtual bool separable_at_word_starts() const { return false; }

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
};

using ModelPtr = std::unique_ptr<const Model>;

/// Builds the model that the "model" object of tokenizer.json and its tables describe. Throws kUnsupported
/// for an unknown type, kCorruptData for missing or wrong fields and tables that do not fit together.
ModelPtr make_model(const Json& description, ModelTables tables);

}  // namespace farthing::tokenizer
