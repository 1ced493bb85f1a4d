#include "models/config.h"

#include <cmath>

#include "base/error.h"

namespace farthing::models {

Config::Config(Json values, std::string origin) : values_(std::move(values)), origin_(std::move(origin)) {
  FARTHING_REQUIRE(values_.is_object(), Code::kCorruptData, "the model configuration is not a JSON object",
                   {{"file", origin_}});
}

const Json* Config::find(std::string_view key) const {
  const auto at = values_.find(key);
  return at == values_.end() || at->is_null() ? nullptr : &*at;
}

bool Config::has(std::string_view key) const {
  return find(key) != nullptr;
}

bool Config::mentions(std::string_view key) const {
  return values_.contains(key);
}

std::string_view Config::spelling(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys)
    if (has(key)) return key;
  return *keys.begin();
}

void Config::require(bool condition, std::string_view key, std::string message) const {
  if (condition) [[likely]]
    return;
  constexpr std::size_t kShown = 60;
  const Json* value = find(key);
  std::string shown = value == nullptr ? "null" : value->dump(-1, ' ', true, Json::error_handler_t::replace);
  if (shown.size() > kShown) shown = shown.substr(0, kShown) + "...";
  throw Error(Code::kCorruptData, std::move(message),
              {{"file", origin_}, {"key", std::string(key)}, {"value", shown}});
}

std::int64_t Config::integer(std::string_view key, std::optional<std::int64_t> fallback) const {
  const Json* value = find(key);
  if (value == nullptr) {
    require(fallback.has_value(), key, "the model configuration lacks a key");
    return *fallback;
  }
  if (value->is_number_float()) {
    const double real = value->get<double>();
    require(std::abs(real) < 9e15 && std::floor(real) == real, key,
            "a configuration value should be an integer");
    return static_cast<std::int64_t>(real);
  }
  const bool fits = value->is_number_integer() &&
                    (!value->is_number_unsigned() || value->get<std::uint64_t>() <= std::uint64_t{INT64_MAX});
  require(fits, key, "a configuration value should be an integer");
  return value->get<std::int64_t>();
}

double Config::number(std::string_view key, std::optional<double> fallback) const {
  const Json* value = find(key);
  if (value == nullptr) {
    require(fallback.has_value(), key, "the model configuration lacks a key");
    return *fallback;
  }
  require(value->is_number() && std::isfinite(value->get<double>()), key,
          "a configuration value should be a finite number");
  return value->get<double>();
}

double Config::number_or_none(std::string_view key, double fallback) const {
  return mentions(key) ? number(key, 0.0) : fallback;
}

std::vector<std::int64_t> Config::integers(std::string_view key, std::vector<std::int64_t> fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  require(value->is_array(), key, "a configuration value should be a list of integers");
  std::vector<std::int64_t> result;
  for (const Json& item : *value) {
    require(item.is_number_integer(), key, "a configuration value should be a list of integers");
    result.push_back(item.get<std::int64_t>());
  }
  return result;
}

bool Config::flag(std::string_view key, bool fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  require(value->is_boolean(), key, "a configuration value should be true or false");
  return value->get<bool>();
}

std::string Config::text(std::string_view key, std::string_view fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  require(value->is_string(), key, "a configuration value should be a string");
  return value->get<std::string>();
}

std::int64_t Config::size(std::string_view key, std::optional<std::int64_t> fallback) const {
  constexpr std::int64_t kLargest = std::int64_t{1} << 30;
  const std::int64_t value = integer(key, fallback);
  require(value >= 1 && value <= kLargest, key, "a size in the model configuration is out of range");
  return value;
}

std::int64_t Config::num_layers(std::string_view key, std::int64_t fallback) const {
  constexpr std::int64_t kLargest = 4096;
  const std::int64_t value = size(key, fallback);
  require(value <= kLargest, key, "the model configuration asks for too many layers");
  return value;
}

Config Config::child(std::string_view key) const {
  const Json* value = find(key);
  if (value != nullptr) require(value->is_object(), key, "a configuration value should be an object");
  return Config(value == nullptr ? Json::object() : *value, origin_ + ": " + std::string(key));
}

}  // namespace farthing::models
