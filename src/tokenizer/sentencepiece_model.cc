// The tokenizer.model of SentencePiece: a protocol buffer (sentencepiece_model.proto) with scored pieces.
#include "tokenizer/sentencepiece_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/bpe.h"
#include "tokenizer/protobuf_reader.h"
#include "tokenizer/stage_description.h"
#include "tokenizer/unigram.h"

namespace farthing::tokenizer {

namespace {

Piece read_piece(std::string_view message) {
  Piece piece;
  for (ProtobufReader reader(message); reader.next();) {
    if (reader.field() == 1) piece.text = reader.bytes();
    if (reader.field() == 2) piece.score = reader.number();
    if (reader.field() == 3) piece.type = static_cast<PieceType>(reader.integer());
  }
  FARTHING_REQUIRE(!piece.text.empty() && valid_utf8_prefix(piece.text) == piece.text.size(),
                   Code::kCorruptData, "a piece of the vocabulary is empty or not UTF-8");
  FARTHING_REQUIRE(std::isfinite(piece.score), Code::kCorruptData, "a score of the vocabulary is not finite",
                   {{"piece", piece.text}});
  return piece;
}

void read_trainer(std::string_view message, SentencePieceModel& model) {
  for (ProtobufReader reader(message); reader.next();) {
    switch (reader.field()) {
      case 3:
        model.model_type = reader.integer();
        break;
      case 35:
        model.byte_fallback = reader.boolean();
        break;
      case 40:
        model.unk_id = reader.integer();
        break;
      case 41:
        model.bos_id = reader.integer();
        break;
      case 42:
        model.eos_id = reader.integer();
        break;
      case 43:
        model.pad_id = reader.integer();
        break;
      default:
        break;
    }
  }
}

void read_normalizer(std::string_view message, SentencePieceModel& model) {
  SentencePieceNormalization& normalization = model.normalization;
  for (ProtobufReader reader(message); reader.next();) {
    switch (reader.field()) {
      case 2:
        model.charsmap = reader.bytes();
        normalization.charsmap = PrecompiledCharsmap(reader.bytes());
        break;
      case 3:
        normalization.add_dummy_prefix = reader.boolean();
        break;
      case 4:
        normalization.remove_extra_whitespaces = reader.boolean();
        break;
      case 5:
        normalization.escape_whitespaces = reader.boolean();
        break;
      default:
        break;
    }
  }
}

SentencePieceModel read_model(std::string_view message) {
  SentencePieceModel model;
  for (ProtobufReader reader(message); reader.next();) {
    if (reader.field() == 1) model.pieces.push_back(read_piece(reader.bytes()));
    if (reader.field() == 2) read_trainer(reader.bytes(), model);
    if (reader.field() == 3) read_normalizer(reader.bytes(), model);
  }
  FARTHING_REQUIRE(!model.pieces.empty(), Code::kCorruptData, "SentencePiece model without pieces");
  return model;
}

Vocabulary make_vocabulary(const std::vector<Piece>& pieces) {
  Vocabulary vocabulary;
  for (std::size_t id = 0; id < pieces.size(); ++id)
    vocabulary.insert(pieces[id].text, static_cast<std::int64_t>(id));
  return vocabulary;
}

const Piece* find_piece(const SentencePieceModel& model, std::int64_t id) {
  const bool inside = id >= 0 && id < static_cast<std::int64_t>(model.pieces.size());
  return inside ? &model.pieces[static_cast<std::size_t>(id)] : nullptr;
}

/// Ranks of the pieces that merging can make: the higher the score the lower the rank, equal scores share
/// one, and pieces that the user defined come before all others.
std::vector<std::int32_t> rank_pieces(const std::vector<Piece>& pieces) {
  std::vector<std::int32_t> order;
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    const PieceType type = pieces[id].type;
    if (type == PieceType::kNormal || type == PieceType::kUserDefined)
      order.push_back(static_cast<std::int32_t>(id));
  }
  const auto key = [&](std::int32_t id) {
    const Piece& piece = pieces[static_cast<std::size_t>(id)];
    return piece.type == PieceType::kUserDefined ? INFINITY : piece.score;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return key(a) > key(b); });
  std::vector<std::int32_t> ranks(pieces.size(), -1);
  std::int32_t rank = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && key(order[i]) != key(order[i - 1])) ++rank;
    ranks[static_cast<std::size_t>(order[i])] = rank;
  }
  return ranks;
}

ModelPtr make_bpe_model(const SentencePieceModel& model) {
  Vocabulary vocabulary = make_vocabulary(model.pieces);
  const auto merges = derive_merges(vocabulary, rank_pieces(model.pieces));
  BpeOptions options;
  if (const Piece* unknown = find_piece(model, model.unk_id)) options.unk_token = unknown->text;
  options.fuse_unk = true;
  options.byte_fallback = model.byte_fallback;
  return std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options));
}

ModelPtr make_unigram_model(const SentencePieceModel& model) {
  std::vector<double> scores;
  std::vector<bool> unused;  // pieces that never come out of text
  for (const Piece& piece : model.pieces) {
    scores.push_back(piece.score);
    unused.push_back(piece.type != PieceType::kNormal && piece.type != PieceType::kUserDefined);
  }
  UnigramOptions options;
  if (find_piece(model, model.unk_id) != nullptr) options.unk_id = static_cast<std::int32_t>(model.unk_id);
  options.byte_fallback = model.byte_fallback;
  options.single_precision = true;
  options.unused = std::move(unused);
  return std::make_unique<Unigram>(make_vocabulary(model.pieces), std::move(scores), std::move(options));
}

void add_special_pieces(const SentencePieceModel& model, Tokenizer::Parts& parts) {
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    const bool special = piece.type == PieceType::kControl || piece.type == PieceType::kUnknown;
    if (!special && piece.type != PieceType::kUserDefined) continue;
    AddedToken token;
    token.content = piece.text;
    token.id = static_cast<std::int32_t>(id);
    token.special = special;
    token.normalized = false;
    parts.added_tokens.add(std::move(token));
  }
  const std::pair<const char*, std::int64_t> roles[] = {{"unk_token", model.unk_id},
                                                        {"bos_token", model.bos_id},
                                                        {"eos_token", model.eos_id},
                                                        {"pad_token", model.pad_id}};
  for (const auto& [role, id] : roles) {
    if (const Piece* piece = find_piece(model, id)) parts.roles[role] = piece->text;
  }
}

}  // namespace

SentencePieceModel parse_sentencepiece_model(const std::filesystem::path& file) {
  return read_model(read_text(file));
}

Tokenizer::Parts read_sentencepiece_model(const std::filesystem::path& file, const TokenizerConfig& config) {
  return make_sentencepiece_parts(parse_sentencepiece_model(file), config);
}

Tokenizer::Parts make_sentencepiece_parts(SentencePieceModel model, const TokenizerConfig& config) {
  FARTHING_REQUIRE(
      model.model_type == SentencePieceModel::kUnigram || model.model_type == SentencePieceModel::kBpe,
      Code::kUnsupported, "SentencePiece model is neither BPE nor unigram",
      {{"model_type", model.model_type}});
  const bool is_bpe = model.model_type == SentencePieceModel::kBpe;
  const bool is_t5 = config.tokenizer_class == "T5Tokenizer";

  Tokenizer::Parts parts;
  parts.model = is_bpe ? make_bpe_model(model) : make_unigram_model(model);
  add_special_pieces(model, parts);
  const bool strips_all =
      model.normalization.add_dummy_prefix && model.normalization.remove_extra_whitespaces;
  parts.decoder = make_sentencepiece_decoder(strips_all                             ? SIZE_MAX
                                             : model.normalization.add_dummy_prefix ? 1
                                                                                    : 0);
  // Transformers calls it the legacy behavior that every stretch of text between special tokens gets the
  // prefix.
  model.normalization.prefix_only_at_start = !config.legacy.value_or(true);
  parts.normalizer = make_sentencepiece_normalizer(std::move(model.normalization));
  // T5 ends every text; the classes of decoders begin it.
  parts.framing = Framing{config.add_bos_token.value_or(!is_t5), config.add_eos_token.value_or(is_t5)};
  return parts;
}

}  // namespace farthing::tokenizer
