// What the ways out of a GGUF file's vocabulary share: to a Tokenizer and to the files of a folder.
#pragma once

#include "tokenizer/ggml_pre_tokenizers.h"
#include "tokenizer/ggml_vocabulary.h"
#include "tokenizer/sentencepiece_model.h"

namespace farthing::tokenizer {

/// Normal where the file does not say.
PieceType piece_type(const GgmlVocabulary& vocabulary, std::size_t id);

/// The pre-tokenizer of byte-level BPE. Throws kUnsupported for names that are not known.
GgmlPreTokenizer require_ggml_pre_tokenizer(const GgmlVocabulary& vocabulary);

/// Of "llama" and "t5". Throws kCorruptData for scores that are not finite.
SentencePieceModel sentencepiece_model_of(const GgmlVocabulary& vocabulary);

}  // namespace farthing::tokenizer
