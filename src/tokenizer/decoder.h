// The stage that turns tokens back into text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"

namespace farthing::tokenizer {

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Rewrites the tokens; the concatenation of what the last decoder leaves is the text. It need not be valid
  /// UTF-8.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

using DecoderPtr = std::unique_ptr<const Decoder>;

/// Builds the decoder that a "decoder" object of tokenizer.json describes; null for JSON null, which stands
/// for joining the tokens with spaces. Throws kUnsupported for an unknown type, kCorruptData for missing or
/// wrong fields.
DecoderPtr make_decoder(const Json& description);

/// The decoder of byte-level vocabularies.
DecoderPtr make_byte_level_decoder();

/// The decoder of SentencePiece vocabularies: U+2581 is a space, byte tokens are bytes, and up to
/// `max_leading_spaces` at the start of the text go away.
DecoderPtr make_sentencepiece_decoder(std::size_t max_leading_spaces);

/// Removes spaces before punctuation and English contractions, as old tokenizers did after decoding.
std::string clean_up_spaces(std::string text);

}  // namespace farthing::tokenizer
