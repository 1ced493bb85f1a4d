// The tokenizer.json of Hugging Face: one JSON object that describes every stage.
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/json_tables.h"
#include "tokenizer/parts.h"
#include "tokenizer/stage_description.h"

namespace farthing::tokenizer {

namespace {

const Json& stage(const Json& tree, std::string_view key) {
  static const Json null;
  const Json* description = find_field(tree, key);
  return description == nullptr ? null : *description;
}

AddedToken read_added_token(const Json& description) {
  AddedToken token;
  const auto id = require_field<std::int64_t>(description, "id");
  if (id < 0 || id > Vocabulary::kMaxId) throw_bad_field(description, "id", "the id of a token");
  token.id = static_cast<std::int32_t>(id);
  token.content = require_field<std::string>(description, "content");
  token.special = field_or<bool>(description, "special", false);
  token.normalized = field_or<bool>(description, "normalized", !token.special);
  token.single_word = field_or<bool>(description, "single_word", false);
  token.lstrip = field_or<bool>(description, "lstrip", false);
  token.rstrip = field_or<bool>(description, "rstrip", false);
  return token;
}

/// The classes that frame a text by their own flags, whatever the post-processor of the file does.
bool frames_by_flags(const std::string& tokenizer_class) {
  return tokenizer_class == "LlamaTokenizer" || tokenizer_class == "CodeLlamaTokenizer" ||
         tokenizer_class == "GemmaTokenizer" || tokenizer_class == "CohereTokenizer";
}

/// "add_prefix_space" of the configuration overrides that of a byte-level pre-tokenizer.
PreTokenizerPtr read_pre_tokenizer(const Json& description, const TokenizerConfig& config) {
  if (config.add_prefix_space && description.is_object() && stage_type(description) == "ByteLevel") {
    return make_byte_level(*config.add_prefix_space, field_or<bool>(description, "use_regex", true));
  }
  return make_pre_tokenizer(description);
}

}  // namespace

Tokenizer::Parts read_tokenizer_json(const std::filesystem::path& file, const TokenizerConfig& config) {
  return make_json_parts(parse_tokenizer_json(read_text(file), file.string()), config);
}

Tokenizer::Parts make_json_parts(TokenizerJson json, const TokenizerConfig& config) {
  const Json* model = find_field(json.tree, "model");
  if (model == nullptr) throw_bad_field(json.tree, "model", "an object");

  Tokenizer::Parts parts;
  parts.normalizer = make_normalizer(stage(json.tree, "normalizer"));
  parts.pre_tokenizer = read_pre_tokenizer(stage(json.tree, "pre_tokenizer"), config);
  parts.model = make_model(*model, std::move(json.tables));
  parts.post_processor = make_post_processor(stage(json.tree, "post_processor"));
  parts.decoder = make_decoder(stage(json.tree, "decoder"));
  if (find_field(json.tree, "added_tokens") != nullptr) {
    for (const Json& description : require_array(json.tree, "added_tokens")) {
      AddedToken token = read_added_token(description);
      if (const auto known = parts.model->vocabulary().id(token.content)) token.id = *known;
      parts.added_tokens.add(std::move(token));
    }
  }
  const bool has_flags = config.add_bos_token || config.add_eos_token;
  if (has_flags && frames_by_flags(config.tokenizer_class)) {
    parts.framing = Framing{config.add_bos_token.value_or(true), config.add_eos_token.value_or(false)};
  }
  return parts;
}

}  // namespace farthing::tokenizer
