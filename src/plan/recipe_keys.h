// Keys of recipes: how their mistakes are said, and values that several modifiers have.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace farthing::plan {

/// Throws kInvalidArgument naming recipe, place and key.
[[noreturn]] void bad_key(const std::string& origin, const std::string& where, const std::string& key,
                          std::string_view what, std::string hint = {});

/// A name or a list of names; null is none. Throws as bad_key for anything else.
std::vector<std::string> strings_of(const Json& value, const std::string& origin, const std::string& where,
                                    const std::string& key);

/// Throws as bad_key, with the known keys, when `settings` is not an object or has a key in neither list.
void require_keys(const Json& settings, std::span<const std::string_view> known,
                  std::span<const std::string_view> ignored, const std::string& origin,
                  const std::string& where);

/// Keys that steer llm-compressor's own machinery and have no meaning here: accepted in every modifier, so
/// that its recipes run unchanged.
std::span<const std::string_view> machinery_keys();

}  // namespace farthing::plan
