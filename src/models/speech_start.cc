#include "models/speech_start.h"

#include <algorithm>

#include "base/error.h"

namespace farthing::models {
namespace {

constexpr std::int32_t kHeard = -1;  // the place of the language

std::int32_t token_in(const Json& value, std::string_view key) {
  FARTHING_REQUIRE(value.is_number_integer() && value >= 0 && value <= 1 << 30, Code::kCorruptData,
                   "generation_config.json should have a token id here",
                   {{"key", key}, {"given", value.dump()}});
  return value.get<std::int32_t>();
}

const Json* find(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? nullptr : &*found;
}

// [[1, 50259], [2, null], ...]: what stands at places 1, 2 ... after the first token.
void add_forced(const Json& forced, std::vector<std::int32_t>& ids) {
  for (const Json& entry : forced.is_array() ? forced : Json::array()) {
    FARTHING_REQUIRE(entry.is_array() && entry.size() == 2 && entry[0] == ids.size(), Code::kCorruptData,
                     "forced_decoder_ids should have every place from 1 on",
                     {{"entry", entry.dump()}, {"expected_place", ids.size()}});
    ids.push_back(entry[1].is_null() ? kHeard : token_in(entry[1], "forced_decoder_ids"));
  }
}

// "en", "<|en|>" or whatever else is a key of lang_to_id.
std::int32_t id_of_language(const Json& config, const std::string& language) {
  const Json* known = find(config, "lang_to_id");
  for (const std::string& name : {language, "<|" + language + "|>"})
    if (known != nullptr && known->is_object() && known->contains(name))
      return token_in((*known)[name], "lang_to_id");
  throw Error(Code::kUnsupported, "generation_config.json names a language without an id",
              {{"language", language}}, "write it as a key of lang_to_id: <|en|>");
}

std::vector<std::int32_t> ids_of(const Json* map, std::string_view key) {
  std::vector<std::int32_t> ids;
  if (map == nullptr || !map->is_object()) return ids;
  for (const Json& id : *map) ids.push_back(token_in(id, key));
  return ids;
}

}  // namespace

std::optional<SpeechStart> speech_start_of(const Json& config) {
  const Json *language = find(config, "language"), *task = find(config, "task"),
             *forced = find(config, "forced_decoder_ids"), *languages = find(config, "lang_to_id"),
             *tasks = find(config, "task_to_id"), *plain = find(config, "no_timestamps_token_id"),
             *first = find(config, "decoder_start_token_id");
  if (first == nullptr || !(forced || languages || tasks || plain)) return {};
  std::vector<std::int32_t> ids = {token_in(*first, "decoder_start_token_id")};
  if (!language && !task && forced) add_forced(*forced, ids);

  const bool is_open = ids.size() <= 1 || ids[1] == kHeard;
  if (language || (languages && is_open)) {
    const std::int32_t id = language ? id_of_language(config, language->get<std::string>()) : kHeard;
    if (ids.size() > 1)
      ids[1] = id;
    else
      ids.push_back(id);
  }
  const std::vector<std::int32_t> task_ids = ids_of(tasks, "task_to_id");
  const auto is_task = [&](std::int32_t id) {
    return std::find(task_ids.begin(), task_ids.end(), id) != task_ids.end();
  };
  if (tasks && (task || (language && std::none_of(ids.begin(), ids.end(), is_task)))) {
    const std::string name = task ? task->get<std::string>() : "transcribe";
    FARTHING_REQUIRE(tasks->contains(name), Code::kUnsupported,
                     "generation_config.json names a task without an id", {{"task", name}},
                     "use transcribe or translate");
    ids.push_back(token_in((*tasks)[name], "task_to_id"));
  }
  if (plain && !config.value("return_timestamps", false))
    if (const std::int32_t id = token_in(*plain, "no_timestamps_token_id"); ids.back() != id)
      ids.push_back(id);

  SpeechStart start;
  const auto heard = std::find(ids.begin(), ids.end(), kHeard);
  start.before.assign(ids.begin(), heard);
  if (heard != ids.end()) {
    start.languages = ids_of(languages, "lang_to_id");
    std::copy_if(heard, ids.end(), std::back_inserter(start.after),
                 [](std::int32_t id) { return id != kHeard; });
  }
  return start;
}

}  // namespace farthing::models
