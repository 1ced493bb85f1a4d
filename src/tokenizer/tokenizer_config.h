// What tokenizer_config.json, special_tokens_map.json and added_tokens.json say beside the tokenizer's own
// file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/added_tokens.h"

namespace farthing::tokenizer {

/// Marks an added token whose id the vocabulary knows, or that gets the next free one.
inline constexpr std::int32_t kIdFromVocabulary = -1;

struct TokenizerConfig {
  std::string tokenizer_class;  // without the suffix "Fast"; empty when the file does not say
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
  std::optional<bool> add_prefix_space;
  std::optional<bool> legacy;
  bool clean_up_tokenization_spaces = false;
  std::optional<std::int64_t> model_max_length;

  std::map<std::string, std::string, std::less<>> roles;  // "bos_token", "image_token", ... to the token
  std::vector<AddedToken> added_tokens;                   // by id; then those that have a role, without id
};

/// Reads the files that exist in `directory`. Throws kCorruptData when one is broken.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& directory);

}  // namespace farthing::tokenizer
