#include "plan/recipe_keys.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace farthing::plan {

void bad_key(const std::string& origin, const std::string& where, const std::string& key,
             std::string_view what, std::string hint) {
  throw Error(Code::kInvalidArgument, std::string(what), {{"recipe", origin}, {"at", where}, {"key", key}},
              std::move(hint));
}

std::vector<std::string> strings_of(const Json& value, const std::string& origin, const std::string& where,
                                    const std::string& key) {
  if (value.is_null()) return {};
  if (value.is_string()) return {value.get<std::string>()};
  std::vector<std::string> result;
  if (!value.is_array()) bad_key(origin, where, key, "expected a name or a list of names");
  for (const Json& item : value) {
    if (!item.is_string()) bad_key(origin, where, key, "expected a list of names");
    result.push_back(item);
  }
  return result;
}

void require_keys(const Json& settings, std::span<const std::string_view> known,
                  std::span<const std::string_view> ignored, const std::string& origin,
                  const std::string& where) {
  if (!settings.is_object()) bad_key(origin, where, "", "expected the modifier's settings");
  const auto contains = [](std::span<const std::string_view> list, const std::string& key) {
    return std::find(list.begin(), list.end(), key) != list.end();
  };
  for (const auto& [key, value] : settings.items()) {
    if (!contains(known, key) && !contains(ignored, key) && !contains(machinery_keys(), key))
      bad_key(origin, where, key, "unknown key", fmt::format("known are {}", fmt::join(known, ", ")));
  }
}

std::span<const std::string_view> machinery_keys() {
  static constexpr std::array<std::string_view, 15> kKeys = {"bypass_divisibility_checks",
                                                             "requires_calibration_data",
                                                             "offload_hessians",
                                                             "batched_quantization",
                                                             "sequential_update",
                                                             "index",
                                                             "group",
                                                             "start",
                                                             "end",
                                                             "update",
                                                             "quantize",
                                                             "initialized_",
                                                             "finalized_",
                                                             "started_",
                                                             "ended_"};
  return kKeys;
}

}  // namespace farthing::plan
