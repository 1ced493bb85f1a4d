// The pre-tokenizers that llama.cpp knows by name. The descriptions are those of tokenizer.json.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace farthing::tokenizer {

/// What a name stands for, in the words of tokenizer.json.
struct GgmlPreTokenizer {
  Json pre_tokenizer;
  bool composes = false;       // NFC before everything
  bool ignore_merges = false;  // a word that is a token is that token
  bool adds_bos = false;       // where the file does not say
};

/// Nothing for names that are not known.
std::optional<GgmlPreTokenizer> find_ggml_pre_tokenizer(std::string_view name);

/// The name under which llama.cpp does what a "pre_tokenizer" of tokenizer.json does; empty when there is
/// none.
std::string ggml_pre_tokenizer_name(const Json& pre_tokenizer);

}  // namespace farthing::tokenizer
