// The tokenizer inside a GGUF file, as the files that Hugging Face folders have beside their weights.
#pragma once

#include <map>
#include <string>

#include "base/json.h"

namespace farthing::checkpoint::gguf {

/// tokenizer.json, tokenizer_config.json and, where there is one, chat_template.jinja, by name. `metadata`
/// has its arrays. Throws kUnsupported for tokenizers other than byte-level BPE of a known pre-tokenizer,
/// kCorruptData naming the key for metadata that contradicts itself.
std::map<std::string, std::string> tokenizer_files(const Json& metadata, const std::string& file);

}  // namespace farthing::checkpoint::gguf
