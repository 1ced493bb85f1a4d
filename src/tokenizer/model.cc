#include "tokenizer/model.h"

#include <utility>

#include "tokenizer/bpe.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/unigram.h"
#include "tokenizer/word_models.h"

namespace farthing::tokenizer {

namespace {

ModelPtr make_bpe(const Json& description, ModelTables tables) {
  BpeOptions options;
  const std::string unk_token = field_or<std::string>(description, "unk_token", "");
  if (!unk_token.empty()) options.unk_token = unk_token;
  options.continuing_subword_prefix = field_or<std::string>(description, "continuing_subword_prefix", "");
  options.end_of_word_suffix = field_or<std::string>(description, "end_of_word_suffix", "");
  options.fuse_unk = field_or<bool>(description, "fuse_unk", false);
  options.byte_fallback = field_or<bool>(description, "byte_fallback", false);
  options.ignore_merges = field_or<bool>(description, "ignore_merges", false);
  const auto merges = resolve_merges(tables.merges, tables.vocabulary, options.continuing_subword_prefix);
  return std::make_unique<Bpe>(std::move(tables.vocabulary), merges, std::move(options));
}

ModelPtr make_unigram(const Json& description, ModelTables tables) {
  UnigramOptions options;
  options.byte_fallback = field_or<bool>(description, "byte_fallback", false);
  if (find_field(description, "unk_id") != nullptr) {
    const auto id = require_field<std::int64_t>(description, "unk_id");
    if (id < 0 || id > Vocabulary::kMaxId) throw_bad_field(description, "unk_id", "the id of a token");
    options.unk_id = static_cast<std::int32_t>(id);
  }
  return std::make_unique<Unigram>(std::move(tables.vocabulary), std::move(tables.scores),
                                   std::move(options));
}

ModelPtr make_word_piece(const Json& description, ModelTables tables) {
  const auto max_characters = field_or<std::int64_t>(description, "max_input_chars_per_word", 100);
  if (max_characters < 0)
    throw_bad_field(description, "max_input_chars_per_word", "a number that is not negative");
  return std::make_unique<WordPiece>(std::move(tables.vocabulary),
                                     field_or<std::string>(description, "unk_token", "[UNK]"),
                                     field_or<std::string>(description, "continuing_subword_prefix", "##"),
                                     static_cast<std::size_t>(max_characters));
}

/// The type of a model; the oldest files leave it out, and what they hold tells.
std::string model_type(const Json& description, const ModelTables& tables) {
  std::string type = field_or<std::string>(description, "type", "");
  if (!type.empty()) return type;
  if (!tables.scores.empty()) return "Unigram";
  if (tables.merges.size() > 0) return "BPE";
  return find_field(description, "max_input_chars_per_word") != nullptr ? "WordPiece" : "WordLevel";
}

}  // namespace

ModelPtr make_model(const Json& description, ModelTables tables) {
  const std::string type = model_type(description, tables);
  const bool known = type == "BPE" || type == "Unigram" || type == "WordPiece" || type == "WordLevel";
  FARTHING_REQUIRE(known, Code::kUnsupported, "unknown tokenizer model", {{"type", type}});
  FARTHING_REQUIRE(tables.vocabulary.size() > 0, Code::kCorruptData, "tokenizer model without vocabulary",
                   {{"type", type}});
  FARTHING_REQUIRE(tables.scores.empty() == (type != "Unigram"), Code::kCorruptData,
                   "the vocabulary has the form of another model", {{"type", type}});
  if (type == "BPE") return make_bpe(description, std::move(tables));
  if (type == "Unigram") return make_unigram(description, std::move(tables));
  if (type == "WordPiece") return make_word_piece(description, std::move(tables));
  return std::make_unique<WordLevel>(std::move(tables.vocabulary),
                                     field_or<std::string>(description, "unk_token", "<unk>"));
}

}  // namespace farthing::tokenizer
