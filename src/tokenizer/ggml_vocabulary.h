// A tokenizer as GGUF files carry it (`tokenizer.ggml.*`): the vocabulary as arrays by id, and the name of a
// pre-tokenizer in place of its description. Made from a model folder for writing, and turned into a
// Tokenizer after reading. Facts: formats-and-algorithms A5.6.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace farthing::tokenizer {

struct GgmlVocabulary {
  std::string model;  // "gpt2": byte-level BPE; "llama": SentencePiece's BPE; "t5": SentencePiece's unigram
  std::string pre;    // of "gpt2": which pre-tokenizer, "llama-bpe"
  std::vector<std::string> tokens;
  std::vector<float> scores;                               // of SentencePiece
  std::vector<std::int32_t> types;                         // as PieceType counts them
  std::vector<std::string> merges;                         // of "gpt2", "left right"
  std::map<std::string, std::int32_t, std::less<>> roles;  // "bos_token" to an id
  std::optional<bool> add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
  std::string charsmap;  // of "t5"
  std::string
      hugging_face;  // a whole tokenizer.json, which some files carry and which says everything; or empty
};

/// Reads the tokenizer of a model folder. `size` tokens at least: what is missing is filled with unused ones.
/// Throws what Tokenizer::open throws, and kUnsupported for tokenizers that llama.cpp has no form for.
GgmlVocabulary read_ggml_vocabulary(const std::filesystem::path& directory, std::int64_t size);

/// Throws kCorruptData for arrays that do not fit together, kUnsupported for models and pre-tokenizers that
/// are not known.
Tokenizer make_tokenizer(const GgmlVocabulary& vocabulary);

/// The same as files of a Hugging Face folder, by name: tokenizer.json for byte-level BPE, tokenizer.model
/// for SentencePiece, and tokenizer_config.json. Throws as make_tokenizer does.
std::map<std::string, std::string> tokenizer_files(const GgmlVocabulary& vocabulary);

}  // namespace farthing::tokenizer
