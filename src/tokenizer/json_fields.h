// Typed access to the fields of a JSON object, with errors that name the field.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace farthing::tokenizer {

/// The field `key` of `object`, or null when it is absent or JSON null. Throws kCorruptData unless `object`
/// is one.
const Json* find_field(const Json& object, std::string_view key);

/// Throws the kCorruptData error for a field that is absent or has the wrong type.
[[noreturn]] void throw_bad_field(const Json& object, std::string_view key, std::string_view expected);

/// Reads `value` as T, one of bool, std::int64_t, double, std::string. Returns false when it is something
/// else.
bool read_value(const Json& value, bool& result);
bool read_value(const Json& value, std::int64_t& result);
bool read_value(const Json& value, double& result);
bool read_value(const Json& value, std::string& result);

inline std::string_view type_word(const bool&) {
  return "true or false";
}
inline std::string_view type_word(const std::int64_t&) {
  return "an integer";
}
inline std::string_view type_word(const double&) {
  return "a number";
}
inline std::string_view type_word(const std::string&) {
  return "a string";
}

/// The field `key` as T, or `fallback` when it is absent or null. Throws kCorruptData for another type.
template <typename T>
T field_or(const Json& object, std::string_view key, T fallback) {
  const Json* value = find_field(object, key);
  if (value == nullptr) return fallback;
  if (!read_value(*value, fallback)) throw_bad_field(object, key, type_word(fallback));
  return fallback;
}

/// The field `key` as T. Throws kCorruptData when it is absent, null or of another type.
template <typename T>
T require_field(const Json& object, std::string_view key) {
  T result{};
  const Json* value = find_field(object, key);
  if (value == nullptr || !read_value(*value, result)) throw_bad_field(object, key, type_word(result));
  return result;
}

/// The field `key` as an array. Throws kCorruptData when it is absent or something else.
const Json& require_array(const Json& object, std::string_view key);

}  // namespace farthing::tokenizer
