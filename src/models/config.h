// config.json as families read it: typed, checked, with the family's own defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace farthing::models {

/// Reads a block of config.json: a missing or null key means the class default. Values of the wrong type
/// throw kCorruptData naming file and key, as does a missing key without a default.
class Config {
 public:
  explicit Config(Json values, std::string origin = "config.json");

  bool has(std::string_view key) const;       // present and not null
  bool mentions(std::string_view key) const;  // present, null or not
  /// The first of several spellings of a key that the file has; the first one when it has none.
  std::string_view spelling(std::initializer_list<std::string_view> keys) const;
  std::int64_t integer(std::string_view key, std::optional<std::int64_t> fallback = {}) const;
  double number(std::string_view key, std::optional<double> fallback = {}) const;
  bool flag(std::string_view key, bool fallback) const;
  std::string text(std::string_view key, std::string_view fallback) const;
  std::vector<std::int64_t> integers(std::string_view key, std::vector<std::int64_t> fallback) const;
  /// For keys where null means "none" and not the default: 0 then, and the default only where the key is
  /// missing.
  double number_or_none(std::string_view key, double fallback) const;

  /// A count or width: an integer from 1 to 2^30.
  std::int64_t size(std::string_view key, std::optional<std::int64_t> fallback = {}) const;
  /// The number of layers: small enough that a nonsense value does no harm.
  std::int64_t num_layers(std::string_view key, std::int64_t fallback) const;

  const Json& json() const { return values_; }
  /// A nested block such as "text_config"; an empty one when absent.
  Config child(std::string_view key) const;
  const std::string& origin() const { return origin_; }

  /// Throws kCorruptData about `key`, with its value, unless `condition` holds.
  void require(bool condition, std::string_view key, std::string message) const;

 private:
  const Json* find(std::string_view key) const;

  Json values_;
  std::string origin_;
};

}  // namespace farthing::models
