// The stage that rewrites text before it is cut into pieces.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/precompiled_charsmap.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

/// Text on its way through the normalizers.
struct NormalizedText {
  std::string text;
  /// Whether the first character still is (or grew from) the first of the whole input: some pre-tokenizers
  /// put a prefix only there.
  bool at_start = true;
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalizedText& text) const = 0;
};

using NormalizerPtr = std::unique_ptr<const Normalizer>;

/// Builds the normalizer that a "normalizer" object of tokenizer.json describes; null for JSON null.
/// Throws kUnsupported for an unknown type, kCorruptData for missing or wrong fields.
NormalizerPtr make_normalizer(const Json& description);

NormalizerPtr make_normalizer_sequence(std::vector<NormalizerPtr> normalizers);
NormalizerPtr make_unicode_normalizer(NormalizationForm form);

/// How SentencePiece itself normalizes (sentencepiece normalizer.cc), with the switches of its
/// normalizer_spec.
struct SentencePieceNormalization {
  PrecompiledCharsmap charsmap;
  bool remove_extra_whitespaces = true;  // at both ends, and runs of spaces
  bool add_dummy_prefix = true;          // a space in front
  bool prefix_only_at_start =
      false;  // ... of the whole input, rather than of every stretch between added tokens
  bool escape_whitespaces = true;  // a space becomes U+2581
};
NormalizerPtr make_sentencepiece_normalizer(SentencePieceNormalization options);

}  // namespace farthing::tokenizer
