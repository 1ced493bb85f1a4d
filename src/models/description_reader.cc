#include "models/description_reader.h"

#include <cmath>

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"

namespace farthing::models {

DescriptionReader::DescriptionReader(Json block, std::string path, std::string origin, const Config& config,
                                     const Variables& variables)
    : block_(std::move(block)),
      path_(std::move(path)),
      origin_(std::move(origin)),
      config_(config),
      variables_(variables) {
  FARTHING_REQUIRE(block_.is_object(), Code::kInvalidArgument, "a block of a description is not a mapping",
                   {{"file", origin_}, {"at", path_}});
}

const Json* DescriptionReader::find(std::string_view key) const {
  asked_.emplace(key);
  const auto at = block_.find(key);
  return at == block_.end() || at->is_null() ? nullptr : &*at;
}

bool DescriptionReader::has(std::string_view key) const {
  const Json* value = find(key);
  return value != nullptr && *value != false;
}

void DescriptionReader::refuse(std::string_view key, std::string what,
                               const std::vector<std::string_view>& known) const {
  const auto value = block_.find(key);
  throw Error(Code::kInvalidArgument, std::move(what),
              {{"file", origin_},
               {"at", path_.empty() ? std::string(key) : path_ + "." + std::string(key)},
               {"value", value == block_.end() ? "null" : value->dump()}},
              known.empty() ? std::string() : fmt::format("known: {}", fmt::join(known, ", ")));
}

std::string DescriptionReader::text(std::string_view key, std::optional<std::string_view> fallback) const {
  const Json* value = find(key);
  if (value == nullptr && fallback) return std::string(*fallback);
  if (value == nullptr) refuse(key, "a description lacks a name");
  if (!value->is_string()) refuse(key, "a description has a value where a name belongs");
  return value->get<std::string>();
}

double DescriptionReader::number(std::string_view key, std::optional<double> fallback) const {
  const Json* value = find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr) refuse(key, "a description lacks a number");
  if (value->is_boolean()) return value->get<bool>() ? 1.0 : 0.0;
  if (value->is_number()) return value->get<double>();
  if (!value->is_string()) refuse(key, "a description has something else where a number belongs");
  const std::string expression = value->get<std::string>();
  const std::optional<double> result = evaluate(expression, config_, variables_);
  if (result) return *result;
  if (fallback) return *fallback;
  throw Error(Code::kCorruptData, "the model configuration lacks a key that its description needs",
              {{"file", config_.origin()}, {"expression", expression}},
              fmt::format("give it a default in {}: {} or 0", origin_, expression));
}

std::int64_t DescriptionReader::integer(std::string_view key, std::optional<std::int64_t> fallback) const {
  const double value = number(key, fallback ? std::optional(static_cast<double>(*fallback)) : std::nullopt);
  if (std::abs(value) > 9e15 || std::floor(value) != value)
    refuse(key, "a description gives no integer here");
  return static_cast<std::int64_t>(value);
}

std::int64_t DescriptionReader::size(std::string_view key, std::optional<std::int64_t> fallback) const {
  constexpr std::int64_t kLargest = std::int64_t{1} << 30;
  const std::int64_t value = integer(key, fallback);
  if (value < 1 || value > kLargest) refuse(key, fmt::format("a size is out of range: {}", value));
  return value;
}

DescriptionReader DescriptionReader::reader_of(const Json& value, std::string path) const {
  return {value.is_string() ? Json{{"name", value}} : value, std::move(path), origin_, config_, variables_};
}

DescriptionReader DescriptionReader::child(std::string_view key) const {
  const Json* value = find(key);
  const std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  return reader_of(value == nullptr || *value == true ? Json::object() : *value, path);
}

std::vector<DescriptionReader> DescriptionReader::children(std::string_view key) const {
  std::vector<DescriptionReader> result;
  const Json* value = find(key);
  if (value == nullptr) return result;
  if (!value->is_array()) refuse(key, "a description has something else where a list belongs");
  for (const Json& item : *value)
    result.push_back(reader_of(item, fmt::format("{}.{}[{}]", path_, key, result.size())));
  return result;
}

std::vector<std::string> DescriptionReader::texts(std::string_view key) const {
  std::vector<std::string> result;
  const Json* value = find(key);
  if (value == nullptr) return result;
  if (!value->is_array()) refuse(key, "a description has something else where a list belongs");
  for (const Json& item : *value) {
    if (!item.is_string()) refuse(key, "a description has a value where a name belongs");
    result.push_back(item.get<std::string>());
  }
  return result;
}

void DescriptionReader::finish() const {
  const std::vector<std::string_view> known(asked_.begin(), asked_.end());
  for (const auto& [key, value] : block_.items()) {
    if (asked_.contains(key)) continue;
    const std::string nearest = nearest_name(key, known);
    throw Error(Code::kInvalidArgument, "a description has a word that is not known",
                {{"file", origin_}, {"at", path_}, {"word", key}},
                fmt::format("{}known here: {}", nearest.empty() ? "" : "did you mean " + nearest + "? ",
                            fmt::join(known, ", ")));
  }
}

}  // namespace farthing::models
