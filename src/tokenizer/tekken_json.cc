// Mistral's tekken.json: byte sequences ranked as in tiktoken, control tokens in front of them.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/base64.h"
#include "tokenizer/bpe.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/json_tables.h"
#include "tokenizer/parts.h"

namespace farthing::tokenizer {

namespace {

// The control tokens of files that do not list theirs (versions before 7); the rest are fillers.
constexpr std::string_view kDefaultControlTokens[] = {"<unk>",
                                                      "<s>",
                                                      "</s>",
                                                      "[INST]",
                                                      "[/INST]",
                                                      "[AVAILABLE_TOOLS]",
                                                      "[/AVAILABLE_TOOLS]",
                                                      "[TOOL_RESULTS]",
                                                      "[/TOOL_RESULTS]",
                                                      "[TOOL_CALLS]",
                                                      "[IMG]",
                                                      "<pad>",
                                                      "[IMG_BREAK]",
                                                      "[IMG_END]",
                                                      "[PREFIX]",
                                                      "[MIDDLE]",
                                                      "[SUFFIX]",
                                                      "[SYSTEM_PROMPT]",
                                                      "[/SYSTEM_PROMPT]",
                                                      "[TOOL_CONTENT]"};

std::vector<std::string> read_control_tokens(const Json& tree, std::size_t count) {
  std::vector<std::string> tokens;
  for (std::size_t rank = 0; rank < count; ++rank) {
    const bool named = rank < std::size(kDefaultControlTokens);
    tokens.push_back(named ? std::string(kDefaultControlTokens[rank]) : fmt::format("<SPECIAL_{}>", rank));
  }
  if (find_field(tree, "special_tokens") == nullptr) return tokens;
  for (const Json& entry : require_array(tree, "special_tokens")) {
    const auto rank = require_field<std::int64_t>(entry, "rank");
    if (rank < 0 || rank >= static_cast<std::int64_t>(count))
      throw_bad_field(entry, "rank", "the id of a control token");
    tokens[static_cast<std::size_t>(rank)] = require_field<std::string>(entry, "token_str");
  }
  return tokens;
}

std::size_t read_count(const Json& config, std::string_view key, std::int64_t fallback) {
  const auto count = field_or<std::int64_t>(config, key, fallback);
  if (count < 0 || count > Vocabulary::kMaxId) throw_bad_field(config, key, "a number of tokens");
  return static_cast<std::size_t>(count);
}

}  // namespace

Tokenizer::Parts read_tekken_json(const std::filesystem::path& file) {
  const Json tree = parse_json_tree(read_text(file), file.string());
  const Json* config = find_field(tree, "config");
  if (config == nullptr) throw_bad_field(tree, "config", "an object");
  const std::size_t num_control = read_count(*config, "default_num_special_tokens", 1000);
  const Json& ranked = require_array(tree, "vocab");
  const std::size_t vocab_size = read_count(*config, "default_vocab_size", Vocabulary::kMaxId);
  const std::size_t num_ranked = std::min(ranked.size(), vocab_size - std::min(num_control, vocab_size));

  Vocabulary vocabulary;
  std::vector<std::int32_t> rank_of_id(num_control + num_ranked, -1);
  for (std::size_t rank = 0; rank < num_ranked; ++rank) {
    const auto bytes = decode_base64(require_field<std::string>(ranked[rank], "token_bytes"));
    if (!bytes || bytes->empty()) throw_bad_field(ranked[rank], "token_bytes", "base64");
    std::string token;
    append_byte_level(token, *bytes);
    vocabulary.insert(token, static_cast<std::int64_t>(num_control + rank));
    rank_of_id[num_control + rank] = static_cast<std::int32_t>(rank);
  }
  const auto merges = derive_merges(vocabulary, rank_of_id);

  Tokenizer::Parts parts;
  BpeOptions options;
  options.ignore_merges = true;
  parts.model = std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options));
  std::vector<PreTokenizerPtr> stages;
  stages.push_back(make_split(Regex::from_oniguruma(require_field<std::string>(*config, "pattern")),
                              SplitBehavior::kIsolated, false));
  stages.push_back(make_byte_level(false, false));
  parts.pre_tokenizer = make_pre_tokenizer_sequence(std::move(stages));
  parts.decoder = make_byte_level_decoder();

  const std::vector<std::string> control = read_control_tokens(tree, num_control);
  for (std::size_t id = 0; id < control.size(); ++id) {
    AddedToken token;
    token.content = control[id];
    token.id = static_cast<std::int32_t>(id);
    token.special = true;
    token.normalized = false;
    parts.added_tokens.add(std::move(token));
  }
  for (const auto& [role, token] : {std::pair("bos_token", "<s>"), std::pair("eos_token", "</s>"),
                                    std::pair("unk_token", "<unk>"), std::pair("pad_token", "<pad>")}) {
    if (parts.added_tokens.find(token) != nullptr) parts.roles[role] = token;
  }
  parts.framing = Framing{true, false};
  return parts;
}

}  // namespace farthing::tokenizer
