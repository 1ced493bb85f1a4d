#include "plan/transform_recipe.h"

#include <array>

#include "base/error.h"
#include "plan/recipe_keys.h"

namespace farthing::plan {
namespace {

constexpr std::string_view kSmoothQuantModifier = "SmoothQuantModifier", kAwqModifier = "AWQModifier";

// How an older AWQModifier says what comes after it, in the words of QuantizationModifier.
constexpr std::array<std::string_view, 7> kQuantizationKeys = {
    "scheme", "config_groups", "targets", "sequential_targets", "observer", "weight_observer", "ignore"};

// [[balance ...], smooth], or {balance_layers: [...], smooth_layer: ...}.
MappingPattern parse_mapping(const Json& json, const std::string& origin, const std::string& where) {
  MappingPattern mapping;
  const bool is_pair = json.is_array() && json.size() == 2;
  if (!is_pair && !json.is_object())
    bad_key(origin, where, "mappings", "expected a mapping",
            "write [[\"re:.*q_proj\", \"re:.*k_proj\"], \"re:.*input_layernorm\"], or smooth_layer and "
            "balance_layers");
  const Json smooth = is_pair ? json[1] : json.value("smooth_layer", Json());
  mapping.balance =
      strings_of(is_pair ? json[0] : json.value("balance_layers", Json()), origin, where, "balance_layers");
  if (!smooth.is_string() || mapping.balance.empty())
    bad_key(origin, where, "mappings", "a mapping names one layer and those that read it");
  mapping.smooth = smooth;
  return mapping;
}

void read_smoothquant(const Json& settings, const std::string& origin, const std::string& where,
                      Transform& transform) {
  static constexpr std::array<std::string_view, 5> kKnown = {"smoothing_strength", "mappings", "ignore",
                                                             "num_calibration_steps", "algorithm"};
  static constexpr std::array<std::string_view, 1> kIgnored = {"calibration_function"};
  require_keys(settings, kKnown, kIgnored, origin, where);
  if (const auto value = settings.find("smoothing_strength"); value != settings.end()) {
    if (!value->is_number()) bad_key(origin, where, "smoothing_strength", "expected a number from 0 to 1");
    transform.smoothquant.strength = *value;
    require_strength(transform.smoothquant.strength, origin);
  }
  if (const auto value = settings.find("num_calibration_steps");
      value != settings.end() && !value->is_null()) {
    if (!value->is_number_integer() || *value <= 0)
      bad_key(origin, where, "num_calibration_steps", "expected a positive whole number");
    transform.num_samples = *value;
  }
  if (const auto value = settings.find("algorithm"); value != settings.end() && !value->is_null()) {
    if (*value != "smoothquant" && *value != "log_equalization")
      bad_key(origin, where, "algorithm", "unknown algorithm", "use smoothquant or log_equalization");
    transform.smoothquant.log_equalization = *value == "log_equalization";
  }
}

methods::DuoScaling parse_duo(const Json& value, const std::string& origin, const std::string& where) {
  if (value == true) return methods::DuoScaling::kOn;
  if (value == false) return methods::DuoScaling::kOff;
  if (value == "both") return methods::DuoScaling::kBoth;
  bad_key(origin, where, "duo_scaling", "expected true, false or both");
}

void read_awq(const Json& settings, const std::string& origin, const std::string& where,
              Transform& transform) {
  std::vector<std::string_view> known = {"mappings", "duo_scaling", "n_grid", "apply_clip"};
  known.insert(known.end(), kQuantizationKeys.begin(), kQuantizationKeys.end());
  static constexpr std::array<std::string_view, 2> kIgnored = {"max_chunk_memory", "offload_device"};
  require_keys(settings, known, kIgnored, origin, where);
  if (const auto value = settings.find("duo_scaling"); value != settings.end())
    transform.awq.duo = parse_duo(*value, origin, where);
  if (const auto value = settings.find("n_grid"); value != settings.end()) {
    if (!value->is_number_integer() || *value < 4 || *value > 1000)
      bad_key(origin, where, "n_grid", "expected a whole number from 4 to 1000");
    transform.awq.num_candidates = *value;
  }
  if (const auto value = settings.find("apply_clip"); value != settings.end()) {
    if (!value->is_boolean()) bad_key(origin, where, "apply_clip", "expected true or false");
    transform.awq.clip = *value;
  }
}

}  // namespace

std::string_view transform_name(TransformKind kind) {
  switch (kind) {
    case TransformKind::kSmoothQuant:
      return "smoothquant";
    case TransformKind::kAwq:
      return "awq";
  }
  return "";
}

std::vector<MappingPattern> parse_mappings(const Json& settings, const std::string& origin,
                                           const std::string& where) {
  std::vector<MappingPattern> mappings;
  const auto found = settings.find("mappings");
  if (found == settings.end() || found->is_null()) return mappings;
  if (!found->is_array()) bad_key(origin, where, "mappings", "expected a list of mappings");
  for (const Json& mapping : *found) mappings.push_back(parse_mapping(mapping, origin, where));
  return mappings;
}

bool is_transform(std::string_view modifier) {
  return modifier == kSmoothQuantModifier || modifier == kAwqModifier;
}

bool quantizes(const Json& settings) {
  return settings.is_object() && (settings.contains("scheme") || settings.contains("config_groups"));
}

Transform parse_transform(const std::string& name, const Json& settings, const std::string& origin,
                          const std::string& where) {
  Transform transform{.name = name};
  if (name == kAwqModifier) {
    transform.kind = TransformKind::kAwq;
    read_awq(settings, origin, where, transform);
  } else {
    read_smoothquant(settings, origin, where, transform);
  }
  transform.mappings = parse_mappings(settings, origin, where);
  if (settings.contains("ignore")) transform.ignore = strings_of(settings["ignore"], origin, where, "ignore");
  return transform;
}

std::optional<Transform> transform_named(std::string_view method) {
  if (method == transform_name(TransformKind::kSmoothQuant))
    return Transform{.name = std::string(kSmoothQuantModifier), .smoothquant = {.strength = 0.8}};
  if (method == transform_name(TransformKind::kAwq))
    return Transform{.name = std::string(kAwqModifier), .kind = TransformKind::kAwq, .awq = {.clip = true}};
  return {};
}

std::string recipe_lines(const Transform& transform, const std::string& indent) {
  std::string lines = fmt::format("{}{}:\n", indent, transform.name);
  const auto add = [&](std::string_view key, const std::string& value) {
    lines += fmt::format("{}  {}: {}\n", indent, key, value);
  };
  if (transform.kind == TransformKind::kAwq) {
    static constexpr std::array<std::string_view, 3> kDuo = {"false", "true", "both"};
    add("duo_scaling", std::string(kDuo[static_cast<std::size_t>(transform.awq.duo)]));
    add("n_grid", fmt::format("{}", transform.awq.num_candidates));
    if (transform.awq.clip) add("apply_clip", "true");
  } else {
    add("smoothing_strength", fmt::format("{}", transform.smoothquant.strength));
  }
  if (!transform.mappings.empty()) {
    lines += fmt::format("{}  mappings:\n", indent);
    for (const MappingPattern& mapping : transform.mappings)
      lines += fmt::format("{}    - {}\n", indent, Json({Json(mapping.balance), mapping.smooth}).dump());
  }
  if (transform.smoothquant.log_equalization) add("algorithm", "log_equalization");
  if (transform.num_samples > 0) add("num_calibration_steps", fmt::format("{}", transform.num_samples));
  if (!transform.ignore.empty()) add("ignore", Json(transform.ignore).dump());
  return lines;
}

void require_strength(double strength, const std::string& origin) {
  FARTHING_REQUIRE(strength >= 0 && strength <= 1, Code::kInvalidArgument,
                   "the smoothing strength should be from 0 to 1",
                   {{"recipe", origin}, {"smoothing_strength", strength}},
                   "0.5 treats activations and weights alike; most models want 0.8");
}

}  // namespace farthing::plan
