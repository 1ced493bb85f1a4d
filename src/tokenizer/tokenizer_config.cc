#include "tokenizer/tokenizer_config.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "base/directory.h"
#include "base/file.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/json_tables.h"

namespace farthing::tokenizer {

namespace {

// Python writes int(1e30) for "no limit"; whatever is of that order means the same.
constexpr double kUnlimited = 1e18;

Json read_if_present(const std::filesystem::path& file) {
  if (!path_exists(file)) return Json::object();
  Json tree = parse_json_tree(read_text(file), file.string());
  FARTHING_REQUIRE(tree.is_object(), Code::kCorruptData, "expected a JSON object", {{"file", file.string()}});
  return tree;
}

std::optional<bool> optional_flag(const Json& object, std::string_view key) {
  if (find_field(object, key) == nullptr) return std::nullopt;
  return require_field<bool>(object, key);
}

/// A token written as a string or as an object with "content" and flags.
std::optional<AddedToken> read_token(const Json& value) {
  AddedToken token;
  token.id = kIdFromVocabulary;
  token.special = true;
  token.normalized = false;
  if (read_value(value, token.content)) return token;
  if (!value.is_object() || find_field(value, "content") == nullptr) return std::nullopt;
  token.content = require_field<std::string>(value, "content");
  token.single_word = field_or<bool>(value, "single_word", false);
  token.lstrip = field_or<bool>(value, "lstrip", false);
  token.rstrip = field_or<bool>(value, "rstrip", false);
  token.special = field_or<bool>(value, "special", true);
  token.normalized = field_or<bool>(value, "normalized", !token.special);
  return token;
}

std::int32_t checked_id(std::int64_t id, std::string_view content) {
  FARTHING_REQUIRE(id >= 0 && id <= Vocabulary::kMaxId, Code::kCorruptData, "token id out of range",
                   {{"token", content}, {"id", id}});
  return static_cast<std::int32_t>(id);
}

/// Tokens with different contents; of equal ones the first stays.
class AddedTokenList {
 public:
  void add(AddedToken token) {
    if (contents_.insert(token.content).second) tokens_.push_back(std::move(token));
  }
  bool has(const std::string& content) const { return contents_.contains(content); }
  std::vector<AddedToken>& tokens() { return tokens_; }

 private:
  std::vector<AddedToken> tokens_;
  std::set<std::string> contents_;
};

/// Collects the tokens with a role: the fields "..._token", and the lists or objects of additional ones.
class RoleReader {
 public:
  explicit RoleReader(TokenizerConfig& config) : config_(config) {}

  /// Fields of an earlier file win.
  void read(const Json& object) {
    for (const auto& [key, value] : object.items()) {
      if (key.ends_with("_token") && !value.is_boolean()) add_role(key, value);
      if (key == "additional_special_tokens" || key == "extra_special_tokens") read_additional(value);
      if (key == "model_specific_special_tokens") read_additional(value);
    }
  }

  bool has(const std::string& content) const { return tokens_.has(content); }
  std::vector<AddedToken>& tokens() { return tokens_.tokens(); }

 private:
  void add_role(const std::string& name, const Json& value) {
    auto token = read_token(value);
    if (!token) return;
    if (config_.roles.try_emplace(name, token->content).second) tokens_.add(std::move(*token));
  }
  void read_additional(const Json& value) {
    for (const auto& [name, element] : value.items()) {
      if (value.is_object()) {
        add_role(name, element);
      } else if (auto token = read_token(element)) {
        tokens_.add(std::move(*token));
      }
    }
  }

  TokenizerConfig& config_;
  AddedTokenList tokens_;
};

/// "added_tokens_decoder": the id as a string to the token.
void read_added_tokens_decoder(const Json& config, const RoleReader& roles, AddedTokenList& tokens) {
  const Json* table = find_field(config, "added_tokens_decoder");
  if (table == nullptr) return;
  if (!table->is_object()) throw_bad_field(config, "added_tokens_decoder", "an object");
  for (const auto& [key, value] : table->items()) {
    std::int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    auto token = read_token(value);
    if (error != std::errc() || end != key.data() + key.size() || !token) {
      throw_bad_field(*table, key, "an id and a token");
    }
    token->id = checked_id(id, token->content);
    token->special =
        (value.is_object() && field_or<bool>(value, "special", false)) || roles.has(token->content);
    tokens.add(std::move(*token));
  }
}

/// added_tokens.json: the token to its id.
void read_added_tokens_file(const Json& table, const RoleReader& roles, AddedTokenList& tokens) {
  for (const auto& [content, value] : table.items()) {
    std::int64_t id = -1;
    if (!read_value(value, id)) throw_bad_field(table, content, "an id");
    AddedToken token;
    token.content = content;
    token.id = checked_id(id, content);
    token.special = roles.has(content);
    token.normalized = !token.special;
    tokens.add(std::move(token));
  }
}

std::optional<std::int64_t> read_model_max_length(const Json& config) {
  const double length = field_or<double>(config, "model_max_length", 0);
  if (!(length > 0) || length > kUnlimited) return std::nullopt;
  return static_cast<std::int64_t>(length);
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& directory) {
  const Json config_file = read_if_present(directory / "tokenizer_config.json");
  const Json map_file = read_if_present(directory / "special_tokens_map.json");
  const Json added_file = read_if_present(directory / "added_tokens.json");

  TokenizerConfig config;
  config.tokenizer_class = field_or<std::string>(config_file, "tokenizer_class", "");
  if (config.tokenizer_class.ends_with("Fast"))
    config.tokenizer_class.resize(config.tokenizer_class.size() - 4);
  config.add_bos_token = optional_flag(config_file, "add_bos_token");
  config.add_eos_token = optional_flag(config_file, "add_eos_token");
  config.add_prefix_space = optional_flag(config_file, "add_prefix_space");
  config.legacy = optional_flag(config_file, "legacy");
  config.clean_up_tokenization_spaces = field_or<bool>(config_file, "clean_up_tokenization_spaces", false);
  config.model_max_length = read_model_max_length(config_file);

  RoleReader roles(config);
  roles.read(config_file);
  roles.read(map_file);
  AddedTokenList list;
  read_added_tokens_decoder(config_file, roles, list);
  read_added_tokens_file(added_file, roles, list);
  std::stable_sort(list.tokens().begin(), list.tokens().end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  for (AddedToken& token : roles.tokens()) list.add(std::move(token));
  config.added_tokens = std::move(list.tokens());
  return config;
}

}  // namespace farthing::tokenizer
