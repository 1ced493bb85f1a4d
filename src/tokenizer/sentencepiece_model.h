// A SentencePiece model: pieces with scores, and how text is normalized before they are looked for. It comes
// from a tokenizer.model or from the arrays of a GGUF file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tokenizer/normalizer.h"
#include "tokenizer/parts.h"

namespace farthing::tokenizer {

/// The numbers are those of SentencePiece, and of ggml's token types.
enum class PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct Piece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

/// The fields of ModelProto that matter, with their defaults.
struct SentencePieceModel {
  static constexpr std::int64_t kUnigram = 1, kBpe = 2;

  std::vector<Piece> pieces;
  std::int64_t model_type = kUnigram;
  bool byte_fallback = false;
  std::int64_t unk_id = 0, bos_id = 1, eos_id = 2, pad_id = -1;
  SentencePieceNormalization normalization;
  std::string charsmap;  // what `normalization.charsmap` was made from
};

/// Reads a tokenizer.model. Throws kCorruptData.
SentencePieceModel parse_sentencepiece_model(const std::filesystem::path& file);

/// Throws kUnsupported for models that are neither BPE nor unigram.
Tokenizer::Parts make_sentencepiece_parts(SentencePieceModel model, const TokenizerConfig& config);

}  // namespace farthing::tokenizer
