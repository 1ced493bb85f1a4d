// Where the tokenizer and the chat template of a model are: in files of its folder, or inside its GGUF file.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/ggml_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace farthing::models {

/// The folder in which the files beside the weights lie: `model` itself, or the folder of a weight file.
std::filesystem::path folder_of(const std::filesystem::path& model);

/// Where the tokenizer of an open checkpoint is looked for: its GGUF file, or its folder.
std::filesystem::path home_of(const checkpoint::Checkpoint& checkpoint);

/// What the model is called: the last part of its path, without the ending of a weight file.
std::string name_of(const std::filesystem::path& model);

/// Opens the tokenizer of `model`, a folder or a weight file. A GGUF file speaks for itself where its
/// vocabulary is known here, else the files beside it do. Throws what Tokenizer::open throws.
tokenizer::Tokenizer open_tokenizer(const std::filesystem::path& model);

/// The tokenizer of `model` as a GGUF file carries it: a GGUF file's own, or that of a folder filled up to
/// `size` tokens. Throws kNotFound when there is none, else what tokenizer::read_ggml_vocabulary throws.
tokenizer::GgmlVocabulary ggml_vocabulary(const std::filesystem::path& model, std::int64_t size);

/// The tokenizer inside a GGUF file as the files of a folder, by name, and its chat_template.jinja. Throws
/// kUnsupported for a vocabulary that is not known here, kCorruptData for one that contradicts itself.
std::map<std::string, std::string> tokenizer_files(const std::filesystem::path& gguf_file);

/// Its chat template, from the same place; nothing when it has none.
std::optional<tokenizer::ChatTemplate> open_chat_template(const std::filesystem::path& model,
                                                          std::string_view name = "default");

}  // namespace farthing::models
