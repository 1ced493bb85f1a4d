#include "tokenizer/json_fields.h"

namespace farthing::tokenizer {

namespace {

/// Enough of `value` to recognise it in a message.
std::string excerpt(const Json& value) {
  constexpr std::size_t kLength = 80;
  if (value.is_object()) {
    std::string keys;
    for (const auto& item : value.items()) {
      keys += (keys.empty() ? "" : ", ") + item.key();
      if (keys.size() > kLength) return fmt::format("object with {}...", keys.substr(0, kLength));
    }
    return fmt::format("object with {}", keys.empty() ? "no fields" : keys);
  }
  if (value.is_array()) return fmt::format("list of {}", value.size());
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() > kLength ? text.substr(0, kLength) + "..." : text;
}

}  // namespace

const Json* find_field(const Json& object, std::string_view key) {
  FARTHING_REQUIRE(object.is_object(), Code::kCorruptData, "expected a JSON object",
                   {{"with field", key}, {"found", excerpt(object)}});
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

void throw_bad_field(const Json& object, std::string_view key, std::string_view expected) {
  throw Error(Code::kCorruptData, "missing or wrong field in a tokenizer file",
              {{"field", key}, {"expected", expected}, {"in", excerpt(object)}});
}

bool read_value(const Json& value, bool& result) {
  if (!value.is_boolean()) return false;
  result = value.get<bool>();
  return true;
}

bool read_value(const Json& value, std::int64_t& result) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) return false;
  if (!value.is_number_integer()) return false;
  result = value.get<std::int64_t>();
  return true;
}

bool read_value(const Json& value, double& result) {
  if (!value.is_number()) return false;
  result = value.get<double>();
  return true;
}

bool read_value(const Json& value, std::string& result) {
  if (!value.is_string()) return false;
  result = value.get<std::string>();
  return true;
}

const Json& require_array(const Json& object, std::string_view key) {
  const Json* value = find_field(object, key);
  if (value == nullptr || !value->is_array()) throw_bad_field(object, key, "a list");
  return *value;
}

}  // namespace farthing::tokenizer
