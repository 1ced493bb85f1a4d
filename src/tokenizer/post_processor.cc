#include "tokenizer/post_processor.h"

#include "tokenizer/stage_description.h"
#include "tokenizer/vocabulary.h"

namespace farthing::tokenizer {

namespace {

std::int32_t checked_id(std::int64_t id) {
  FARTHING_REQUIRE(id >= 0 && id <= Vocabulary::kMaxId, Code::kCorruptData, "token id out of range",
                   {{"id", id}});
  return static_cast<std::int32_t>(id);
}

/// The id of a field such as "cls": ["<s>", 0].
std::int32_t read_token_pair(const Json& description, std::string_view key) {
  const Json& pair = require_array(description, key);
  std::int64_t id = 0;
  if (pair.size() != 2 || !read_value(pair[1], id)) throw_bad_field(description, key, "[token, id]");
  return checked_id(id);
}

/// The ids that the template's table gives the special token `name`.
void append_special(const Json& description, const std::string& name, std::vector<std::int32_t>& ids) {
  const Json* table = find_field(description, "special_tokens");
  if (table == nullptr) throw_bad_field(description, "special_tokens", "an object");
  const Json* entry = find_field(*table, name);
  FARTHING_REQUIRE(entry != nullptr, Code::kCorruptData,
                   "a template names a special token that its table lacks", {{"token", name}});
  for (const Json& element : require_array(*entry, "ids")) {
    std::int64_t id = 0;
    if (!read_value(element, id)) throw_bad_field(*entry, "ids", "a list of ids");
    ids.push_back(checked_id(id));
  }
}

PostProcessor read_template(const Json& description) {
  PostProcessor result;
  int num_sequences = 0;
  for (const Json& item : require_array(description, "single")) {
    if (const Json* special = find_field(item, "SpecialToken")) {
      append_special(description, require_field<std::string>(*special, "id"),
                     num_sequences == 0 ? result.before : result.after);
    } else if (find_field(item, "Sequence") != nullptr) {
      ++num_sequences;
    } else {
      throw_bad_field(item, "SpecialToken", "a special token or a sequence");
    }
  }
  FARTHING_REQUIRE(num_sequences == 1, Code::kUnsupported, "a template does not have the text exactly once",
                   {{"times", num_sequences}});
  return result;
}

}  // namespace

PostProcessor make_post_processor(const Json& description) {
  if (description.is_null()) return {};
  const std::string type = stage_type(description);
  if (type == "ByteLevel") return {};  // it trims offsets only
  if (type == "TemplateProcessing") return read_template(description);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    return {{read_token_pair(description, "cls")}, {read_token_pair(description, "sep")}};
  }
  if (type == "Sequence") {
    PostProcessor result;
    for (const Json& element : require_array(description, "processors")) {
      const PostProcessor outer = make_post_processor(element);
      result.before.insert(result.before.begin(), outer.before.begin(), outer.before.end());
      result.after.insert(result.after.end(), outer.after.begin(), outer.after.end());
    }
    return result;
  }
  throw_unknown_stage("post_processor", type);
}

}  // namespace farthing::tokenizer
