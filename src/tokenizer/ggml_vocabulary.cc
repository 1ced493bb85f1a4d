// From a model folder to the arrays of a GGUF file.
#include "tokenizer/ggml_vocabulary.h"

#include <algorithm>
#include <span>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "tokenizer/base64.h"
#include "tokenizer/ggml_pre_tokenizers.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/json_tables.h"
#include "tokenizer/sentencepiece_model.h"

namespace farthing::tokenizer {
namespace {

constexpr std::int32_t kNormal = static_cast<std::int32_t>(PieceType::kNormal);
constexpr std::int32_t kUnused = static_cast<std::int32_t>(PieceType::kUnused);
constexpr float kPaddingScore = -10000, kAddedScore = -1000;

[[noreturn]] void refuse(const std::filesystem::path& directory, std::string_view what) {
  throw Error(Code::kUnsupported, "llama.cpp has no form for this tokenizer",
              {{"folder", directory.string()}, {"because", what}},
              "use a safetensors format (--format compressed-tensors) for this model");
}

/// "<0x0A>", which stands for a byte.
bool is_byte_token(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.back() == '>';
}

/// Calls `visit` for a stage and the stages inside it.
template <typename Visit>
void for_each_stage(const Json* stage, const Visit& visit) {
  if (stage == nullptr || !stage->is_object()) return;
  visit(*stage);
  for (const std::string_view list : {"normalizers", "pretokenizers", "decoders"}) {
    const Json* parts = find_field(*stage, list);
    if (parts == nullptr || !parts->is_array()) continue;
    for (const Json& part : *parts) for_each_stage(&part, visit);
  }
}

bool has_stage(const Json& tree, std::string_view key, std::string_view type) {
  bool found = false;
  for_each_stage(find_field(tree, key),
                 [&](const Json& stage) { found = found || stage.value("type", "") == type; });
  return found;
}

/// Whether a space is put before a text.
bool adds_space(const Json& tree) {
  bool adds = has_stage(tree, "normalizer", "Prepend");
  for_each_stage(find_field(tree, "pre_tokenizer"), [&](const Json& stage) {
    if (stage.value("type", "") != "Metaspace") return;
    adds =
        adds || (stage.value("prepend_scheme", "always") != "never" && stage.value("add_prefix_space", true));
  });
  return adds;
}

/// Which tokens surround a text. What stands there has the role, also where no file says so.
void find_frame(const Tokenizer& tokenizer, GgmlVocabulary& vocabulary) {
  const std::vector<std::int32_t> bare = tokenizer.encode("a", {.add_special_tokens = false});
  const std::vector<std::int32_t> framed = tokenizer.encode("a");
  const auto inside = std::search(framed.begin(), framed.end(), bare.begin(), bare.end());
  const auto behind = inside == framed.end() ? inside : inside + static_cast<std::ptrdiff_t>(bare.size());
  const std::span before(framed.begin(), inside), after(behind, framed.end());
  vocabulary.add_bos = !before.empty();
  vocabulary.add_eos = !after.empty();
  if (!before.empty()) vocabulary.roles["bos_token"] = before.back();
  if (!after.empty()) vocabulary.roles["eos_token"] = after.front();
}

/// What every token is, from the added ones of the file and the roles.
void fill_tokens(const Tokenizer& tokenizer, std::int64_t size, GgmlVocabulary& vocabulary) {
  const std::int64_t count = std::max(size, tokenizer.vocab_size());
  for (std::int64_t i = 0; i < count; ++i) {
    const auto id = static_cast<std::int32_t>(i);
    const auto token = tokenizer.token(id);
    vocabulary.tokens.push_back(token ? *token : fmt::format("[PAD{}]", i));
    vocabulary.types.push_back(!token                     ? kUnused
                               : tokenizer.is_special(id) ? static_cast<std::int32_t>(PieceType::kControl)
                                                          : kNormal);
  }
  for (const std::string_view role : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    if (const auto token = tokenizer.special_token_with_id(role)) vocabulary.roles.emplace(role, token->id);
  }
  find_frame(tokenizer, vocabulary);
}

/// SentencePiece numbers pieces as the file types of tokens do.
void mark_pieces(GgmlVocabulary& vocabulary) {
  if (const auto unknown = vocabulary.roles.find("unk_token"); unknown != vocabulary.roles.end())
    vocabulary.types[static_cast<std::size_t>(unknown->second)] =
        static_cast<std::int32_t>(PieceType::kUnknown);
  for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    if (vocabulary.types[i] == kNormal && is_byte_token(vocabulary.tokens[i]))
      vocabulary.types[i] = static_cast<std::int32_t>(PieceType::kByte);
  }
}

void mark_user_defined(const Json& tree, GgmlVocabulary& vocabulary) {
  const Json* added = find_field(tree, "added_tokens");
  if (added == nullptr || !added->is_array()) return;
  for (const Json& token : *added) {
    const auto id = static_cast<std::size_t>(require_field<std::int64_t>(token, "id"));
    if (id < vocabulary.types.size() && vocabulary.types[id] == kNormal)
      vocabulary.types[id] = static_cast<std::int32_t>(PieceType::kUserDefined);
  }
}

/// SentencePiece merges what has the highest score; a list of merges says the same by its order.
std::vector<float> scores_of_merges(const ModelTables& tables, const GgmlVocabulary& vocabulary) {
  std::vector<float> scores(vocabulary.tokens.size(), kAddedScore);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (vocabulary.types[i] == kUnused) scores[i] = kPaddingScore;
    if (vocabulary.types[i] == kNormal) scores[i] = -static_cast<float>(tables.merges.size()) - 1;
    if (vocabulary.types[i] == static_cast<std::int32_t>(PieceType::kByte)) scores[i] = 0;
  }
  std::vector<bool> ranked(scores.size(), false);
  tables.merges.for_each([&](std::size_t rank, const MergeList::Merge& merge) {
    const auto id = tables.vocabulary.id(fmt::format("{}{}", merge.left, merge.right));
    if (!id || ranked[static_cast<std::size_t>(*id)]) return;
    ranked[static_cast<std::size_t>(*id)] = true;
    scores[static_cast<std::size_t>(*id)] = -static_cast<float>(rank);
  });
  return scores;
}

void add_byte_level(const std::filesystem::path& directory, const Json& tree, const ModelTables& tables,
                    GgmlVocabulary& vocabulary) {
  vocabulary.model = "gpt2";
  const Json* pre_tokenizer = find_field(tree, "pre_tokenizer");
  vocabulary.pre = pre_tokenizer != nullptr ? ggml_pre_tokenizer_name(*pre_tokenizer) : "";
  if (vocabulary.pre.empty())
    refuse(directory, "its words are cut by a pattern that llama.cpp does not have");
  tables.merges.for_each([&](std::size_t, const MergeList::Merge& merge) {
    vocabulary.merges.push_back(fmt::format("{} {}", merge.left, merge.right));
  });
}

void add_unigram(const std::filesystem::path& directory, const Json& tree, const ModelTables& tables,
                 GgmlVocabulary& vocabulary) {
  vocabulary.model = "t5";
  vocabulary.scores.assign(vocabulary.tokens.size(), kPaddingScore);
  for (std::size_t i = 0; i < tables.scores.size() && i < vocabulary.scores.size(); ++i)
    vocabulary.scores[i] = static_cast<float>(tables.scores[i]);
  for_each_stage(find_field(tree, "normalizer"), [&](const Json& stage) {
    if (stage.value("type", "") != "Precompiled") return;
    const auto charsmap = decode_base64(require_field<std::string>(stage, "precompiled_charsmap"));
    if (!charsmap) refuse(directory, "its character map is damaged");
    vocabulary.charsmap = *charsmap;
  });
  vocabulary.add_space_prefix = adds_space(tree);
  vocabulary.remove_extra_whitespaces = has_stage(tree, "pre_tokenizer", "WhitespaceSplit");
  mark_pieces(vocabulary);
}

void add_json(const std::filesystem::path& directory, GgmlVocabulary& vocabulary) {
  const std::filesystem::path file = directory / "tokenizer.json";
  const TokenizerJson json = parse_tokenizer_json(read_text(file), file.string());
  const Json* model = find_field(json.tree, "model");
  mark_user_defined(json.tree, vocabulary);
  if (!json.tables.scores.empty()) return add_unigram(directory, json.tree, json.tables, vocabulary);
  if (json.tables.merges.size() == 0) refuse(directory, "it is neither BPE nor unigram");
  const bool byte_level =
      has_stage(json.tree, "pre_tokenizer", "ByteLevel") || has_stage(json.tree, "decoder", "ByteLevel");
  if (byte_level) return add_byte_level(directory, json.tree, json.tables, vocabulary);
  if (model == nullptr || !field_or<bool>(*model, "byte_fallback", false))
    refuse(directory, "its BPE is neither byte-level nor that of SentencePiece");
  vocabulary.model = "llama";
  vocabulary.add_space_prefix = adds_space(json.tree);
  mark_pieces(vocabulary);
  vocabulary.scores = scores_of_merges(json.tables, vocabulary);
}

void add_sentencepiece(const std::filesystem::path& directory, GgmlVocabulary& vocabulary) {
  const SentencePieceModel model = parse_sentencepiece_model(directory / "tokenizer.model");
  vocabulary.model = model.model_type == SentencePieceModel::kBpe ? "llama" : "t5";
  vocabulary.add_space_prefix = model.normalization.add_dummy_prefix;
  if (vocabulary.model == "t5")
    vocabulary.remove_extra_whitespaces = model.normalization.remove_extra_whitespaces;
  if (vocabulary.model == "t5") vocabulary.charsmap = model.charsmap;
  vocabulary.scores.assign(vocabulary.tokens.size(), kAddedScore);
  for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    if (vocabulary.types[i] == kUnused) vocabulary.scores[i] = kPaddingScore;
    if (i >= model.pieces.size()) continue;
    vocabulary.scores[i] = model.pieces[i].score;
    vocabulary.types[i] = static_cast<std::int32_t>(model.pieces[i].type);
  }
}

void add_vocab_and_merges(const std::filesystem::path& directory, GgmlVocabulary& vocabulary) {
  const bool is_qwen2 = read_tokenizer_config(directory).tokenizer_class == "Qwen2Tokenizer";
  vocabulary.model = "gpt2";
  vocabulary.pre = is_qwen2 ? "qwen2" : "gpt-2";
  const std::string text = read_text(directory / "merges.txt");
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !line.starts_with("#version")) vocabulary.merges.push_back(std::move(line));
    begin = end + 1;
  }
}

}  // namespace

GgmlVocabulary read_ggml_vocabulary(const std::filesystem::path& directory, std::int64_t size) {
  GgmlVocabulary vocabulary;
  fill_tokens(Tokenizer::open(directory), size, vocabulary);
  if (path_exists(directory / "tokenizer.json"))
    add_json(directory, vocabulary);
  else if (path_exists(directory / "tokenizer.model"))
    add_sentencepiece(directory, vocabulary);
  else if (path_exists(directory / "merges.txt"))
    add_vocab_and_merges(directory, vocabulary);
  else
    refuse(directory, "it is a tekken.json");
  return vocabulary;
}

}  // namespace farthing::tokenizer
