// From the arrays of a GGUF file to a tokenizer.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "tokenizer/ggml_parts.h"
#include "tokenizer/json_tables.h"

namespace farthing::tokenizer {
namespace {

[[noreturn]] void refuse(std::string_view what) {
  throw Error(Code::kCorruptData, "the vocabulary of a GGUF file contradicts itself", {{"problem", what}},
              "fetch the file again");
}

void check(const GgmlVocabulary& vocabulary) {
  const std::size_t count = vocabulary.tokens.size();
  if (count == 0) refuse("it has no tokens");
  if (!vocabulary.types.empty() && vocabulary.types.size() != count)
    refuse("token types are not one per token");
  const bool scored = vocabulary.model != "gpt2";
  if (scored && vocabulary.scores.size() != count) refuse("scores are not one per token");
  for (const auto& [role, id] : vocabulary.roles) {
    if (id < 0 || static_cast<std::size_t>(id) >= count) refuse(fmt::format("{} is no token", role));
  }
}

/// The same token may stand at two ids (padding); only the first one is looked up by its text.
TokenizerConfig config_of(const GgmlVocabulary& vocabulary) {
  TokenizerConfig config;
  for (const auto& [role, id] : vocabulary.roles)
    config.roles[role] = vocabulary.tokens[static_cast<std::size_t>(id)];
  config.add_bos_token = vocabulary.add_bos;
  config.add_eos_token = vocabulary.add_eos;
  return config;
}

Tokenizer::Parts byte_level_parts(const GgmlVocabulary& vocabulary, const TokenizerConfig& config) {
  const GgmlPreTokenizer pre = require_ggml_pre_tokenizer(vocabulary);
  TokenizerJson json;
  json.tree = {{"normalizer", pre.composes ? Json{{"type", "NFC"}} : Json()},
               {"pre_tokenizer", pre.pre_tokenizer},
               {"model", {{"type", "BPE"}, {"ignore_merges", pre.ignore_merges}}},
               {"decoder", {{"type", "ByteLevel"}}},
               {"added_tokens", Json::array()}};
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const PieceType type = piece_type(vocabulary, id);
    const bool special = type == PieceType::kControl || type == PieceType::kUnknown;
    if (type != PieceType::kUnused)
      json.tables.vocabulary.insert(vocabulary.tokens[id], static_cast<std::int64_t>(id));
    if (!special && type != PieceType::kUserDefined) continue;
    json.tree["added_tokens"].push_back(
        {{"id", id}, {"content", vocabulary.tokens[id]}, {"special", special}, {"normalized", false}});
  }
  for (const std::string& line : vocabulary.merges) {
    const MergeList::Merge merge = split_merge(line);
    json.tables.merges.add(merge.left, merge.right);
  }
  Tokenizer::Parts parts = make_json_parts(std::move(json), config);
  parts.framing = Framing{vocabulary.add_bos.value_or(pre.adds_bos), vocabulary.add_eos.value_or(false)};
  return parts;
}

Tokenizer::Parts sentencepiece_parts(const GgmlVocabulary& vocabulary, const TokenizerConfig& config) {
  const bool is_bpe = vocabulary.model == "llama";
  Tokenizer::Parts parts = make_sentencepiece_parts(sentencepiece_model_of(vocabulary), config);
  parts.framing = Framing{vocabulary.add_bos.value_or(is_bpe), vocabulary.add_eos.value_or(!is_bpe)};
  return parts;
}

}  // namespace

PieceType piece_type(const GgmlVocabulary& vocabulary, std::size_t id) {
  if (vocabulary.types.empty()) return PieceType::kNormal;
  const std::int32_t type = vocabulary.types[id];
  return type >= 1 && type <= 6 ? static_cast<PieceType>(type) : PieceType::kNormal;
}

GgmlPreTokenizer require_ggml_pre_tokenizer(const GgmlVocabulary& vocabulary) {
  const auto pre = find_ggml_pre_tokenizer(vocabulary.pre.empty() ? "default" : vocabulary.pre);
  FARTHING_REQUIRE(pre, Code::kUnsupported, "the pre-tokenizer of a GGUF file is not known",
                   {{"tokenizer.ggml.pre", vocabulary.pre}},
                   "put the model's tokenizer.json into the folder of the file");
  return *pre;
}

SentencePieceModel sentencepiece_model_of(const GgmlVocabulary& vocabulary) {
  const bool is_bpe = vocabulary.model == "llama";
  SentencePieceModel model;
  model.model_type = is_bpe ? SentencePieceModel::kBpe : SentencePieceModel::kUnigram;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (!std::isfinite(vocabulary.scores[id])) refuse("a score is not finite");
    const PieceType type = piece_type(vocabulary, id);
    model.byte_fallback = model.byte_fallback || type == PieceType::kByte;
    model.pieces.push_back({vocabulary.tokens[id], vocabulary.scores[id], type});
  }
  const auto role = [&](std::string_view name) {
    const auto found = vocabulary.roles.find(name);
    return found == vocabulary.roles.end() ? std::int64_t{-1} : std::int64_t{found->second};
  };
  model.bos_id = role("bos_token");
  model.eos_id = role("eos_token");
  model.pad_id = role("pad_token");
  model.unk_id = role("unk_token");
  model.normalization.add_dummy_prefix = vocabulary.add_space_prefix.value_or(true);
  model.normalization.remove_extra_whitespaces = vocabulary.remove_extra_whitespaces.value_or(!is_bpe);
  if (!vocabulary.charsmap.empty()) model.normalization.charsmap = PrecompiledCharsmap(vocabulary.charsmap);
  return model;
}

Tokenizer make_tokenizer(const GgmlVocabulary& vocabulary) {
  check(vocabulary);
  const TokenizerConfig config = config_of(vocabulary);
  Tokenizer::Parts parts;
  if (!vocabulary.hugging_face.empty()) {
    parts =
        make_json_parts(parse_tokenizer_json(vocabulary.hugging_face, "tokenizer.huggingface.json"), config);
  } else if (vocabulary.model == "gpt2") {
    parts = byte_level_parts(vocabulary, config);
  } else {
    FARTHING_REQUIRE(vocabulary.model == "llama" || vocabulary.model == "t5", Code::kUnsupported,
                     "the tokenizer of a GGUF file is of a kind that is not read",
                     {{"tokenizer.ggml.model", vocabulary.model}},
                     "put the model's tokenizer.json into the folder of the file");
    parts = sentencepiece_parts(vocabulary, config);
  }
  complete_parts(parts, config);
  return Tokenizer(std::make_shared<const Tokenizer::Parts>(std::move(parts)));
}

}  // namespace farthing::tokenizer
