#include "plan/recipe.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/file.h"
#include "base/nearest_name.h"
#include "base/yaml.h"
#include "methods/gptq.h"
#include "plan/awq_config.h"
#include "plan/gptq_config.h"
#include "plan/recipe_keys.h"
#include "plan/transform_recipe.h"

namespace farthing::plan {
namespace {

// Names of llm-compressor's modifiers and what they mean here; those of later issues are named so that the
// message can say so.
struct KnownModifier {
  std::string_view name;
  std::optional<Method> method;
};
constexpr std::array kModifiers = {
    KnownModifier{"QuantizationModifier", Method::kRtn},
    KnownModifier{"GPTQModifier", Method::kGptq},
    KnownModifier{"SparseGPTModifier", {}},
    KnownModifier{"SpinQuantModifier", {}},
    KnownModifier{"QuIPModifier", {}},
    KnownModifier{"AutoRoundModifier", {}},
};

scheme::ActivationOrder parse_actorder(const Json& value, const std::string& origin,
                                       const std::string& where) {
  if (value.is_null() || value == false || value == "none") return scheme::ActivationOrder::kNone;
  if (value == "group" || value == "dynamic" || value == true) return scheme::ActivationOrder::kGroup;
  if (value == "weight" || value == "static") return scheme::ActivationOrder::kWeight;
  bad_key(origin, where, "actorder", "unknown activation order",
          "use none, group (dynamic) or weight (static)");
}

std::vector<scheme::ConfigGroup> groups_of(const Json& settings, const std::vector<std::string>& targets,
                                           const std::string& origin, const std::string& where) {
  if (const auto groups = settings.find("config_groups"); groups != settings.end() && !groups->is_null()) {
    return scheme::parse_config_groups(*groups, where + ".config_groups");
  }
  const auto named = settings.find("scheme");
  if (named == settings.end() || named->is_null())
    bad_key(origin, where, "scheme", "the modifier says no scheme", "add scheme: W4A16");
  if (named->is_string())
    return {{.name = "group_0", .targets = targets, .scheme = scheme::preset(named->get<std::string>())}};
  if (!named->is_object())
    bad_key(origin, where, "scheme", "expected a scheme name, or names mapped to targets");
  std::vector<scheme::ConfigGroup> groups;
  for (const auto& [name, preset_targets] : named->items()) {
    groups.push_back({.name = fmt::format("group_{}", groups.size()),
                      .targets = strings_of(preset_targets, origin, where, "scheme"),
                      .scheme = scheme::preset(name)});
  }
  return groups;
}

// observer: mse, or {weights: mse}, or weight_observer: mse.
void set_observers(std::vector<scheme::ConfigGroup>& groups, const Json& settings) {
  const auto set = [&](auto member, const Json& name) {
    if (!name.is_string()) return;
    for (scheme::ConfigGroup& group : groups) {
      if (auto& args = group.scheme.*member) args->observer = name.get<std::string>();
    }
  };
  if (const auto observer = settings.find("observer"); observer != settings.end()) {
    if (observer->is_object()) {
      set(&scheme::Scheme::weights, observer->value("weights", Json()));
      set(&scheme::Scheme::input_activations, observer->value("input", Json()));
    } else {
      set(&scheme::Scheme::weights, *observer);
    }
  }
  if (settings.contains("weight_observer")) set(&scheme::Scheme::weights, settings["weight_observer"]);
  if (settings.contains("input_observer"))
    set(&scheme::Scheme::input_activations, settings["input_observer"]);
}

// Numbers of keys and values: of each tensor, or of each head, found in calibration.
scheme::QuantizationArgs parse_cache_scheme(const Json& json, const std::string& where) {
  scheme::QuantizationArgs args = scheme::parse_quantization_args(json, where);
  scheme::require_activation_args(args, where);
  FARTHING_REQUIRE(
      args.dynamic == scheme::Dynamic::kStatic &&
          (args.strategy == scheme::Strategy::kTensor || args.strategy == scheme::Strategy::kAttentionHead),
      Code::kUnsupported, "the KV cache is quantized with fixed scales of tensors or heads",
      {{"at", where}, {"strategy", scheme::strategy_name(args.strategy)}},
      "use strategy tensor or attn_head, and dynamic false");
  if (!json.contains("observer") || json["observer"].is_null()) args.observer = "static_minmax";
  return args;
}

Modifier parse_modifier(const std::string& name, const Json& settings, const std::string& origin,
                        const std::string& where) {
  const auto known = std::find_if(kModifiers.begin(), kModifiers.end(),
                                  [&](const KnownModifier& row) { return row.name == name; });
  if (known == kModifiers.end()) {
    std::vector<std::string> names;
    for (const KnownModifier& row : kModifiers) names.emplace_back(row.name);
    names.insert(names.end(), {"SmoothQuantModifier", "AWQModifier"});
    bad_key(origin, where, name, "unknown modifier", fmt::format("known are {}", fmt::join(names, ", ")));
  }
  FARTHING_REQUIRE(known->method, Code::kUnsupported, "this version has no such modifier",
                   {{"recipe", origin}, {"modifier", name}}, "use GPTQModifier or QuantizationModifier");
  static constexpr std::array<std::string_view, 13> kKnownKeys = {
      "scheme",         "config_groups",   "targets",        "ignore",   "sequential_targets",
      "block_size",     "dampening_frac",  "actorder",       "observer", "weight_observer",
      "input_observer", "output_observer", "kv_cache_scheme"};
  require_keys(settings, kKnownKeys, {}, origin, where);

  Modifier modifier{.name = name, .method = *known->method};
  std::vector<std::string> targets = settings.contains("targets")
                                         ? strings_of(settings["targets"], origin, where, "targets")
                                         : std::vector<std::string>{"Linear"};
  if (const auto cache = settings.find("kv_cache_scheme"); cache != settings.end() && !cache->is_null())
    modifier.kv_cache_scheme = parse_cache_scheme(*cache, where + ".kv_cache_scheme");
  const bool has_groups = settings.contains("scheme") || settings.contains("config_groups");
  if (has_groups || !modifier.kv_cache_scheme) modifier.groups = groups_of(settings, targets, origin, where);
  set_observers(modifier.groups, settings);
  if (settings.contains("ignore")) modifier.ignore = strings_of(settings["ignore"], origin, where, "ignore");
  if (settings.contains("sequential_targets"))
    modifier.sequential_targets =
        strings_of(settings["sequential_targets"], origin, where, "sequential_targets");
  if (settings.contains("actorder"))
    modifier.gptq.actorder = parse_actorder(settings["actorder"], origin, where);
  if (const auto value = settings.find("block_size"); value != settings.end()) {
    if (!value->is_number_integer() || value->get<std::int64_t>() <= 0)
      bad_key(origin, where, "block_size", "expected a positive whole number");
    modifier.gptq.block_size = *value;
  }
  if (const auto value = settings.find("dampening_frac"); value != settings.end()) {
    if (!value->is_number() || value->get<double>() < 0 || value->get<double>() >= 1)
      bad_key(origin, where, "dampening_frac", "expected a number from 0 to below 1");
    modifier.gptq.dampening_frac = *value;
  }
  return modifier;
}

// An AWQModifier of older recipes says in one what a transform and a QuantizationModifier say now.
void add_transform(const std::string& name, const Json& settings, Recipe& recipe, const std::string& where) {
  recipe.transforms.push_back(parse_transform(name, settings, recipe.origin, where));
  if (!quantizes(settings)) return;
  Json rest = settings;
  for (const char* key :
       {"mappings", "duo_scaling", "n_grid", "apply_clip", "max_chunk_memory", "offload_device"})
    rest.erase(key);
  recipe.transforms.back().ignore.clear();  // it is the quantization's
  recipe.modifiers.push_back(parse_modifier("QuantizationModifier", rest, recipe.origin, where));
}

bool ends_with_any(const std::string& key, std::initializer_list<std::string_view> suffixes) {
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [&](std::string_view suffix) { return key.ends_with(suffix); });
}

// Stages hold groups of modifiers, groups hold modifiers; a flat file holds modifiers, or one modifier's
// settings.
void collect_modifiers(const Json& node, Recipe& recipe, const std::string& where) {
  if (node.is_array()) {
    for (const Json& item : node) collect_modifiers(item, recipe, where);
    return;
  }
  if (!node.is_object()) bad_key(recipe.origin, where, "", "expected stages or modifiers");
  for (const auto& [key, value] : node.items()) {
    const std::string path = where.empty() ? key : fmt::format("{}.{}", where, key);
    if (ends_with_any(key, {"_stage", "_modifiers"}))
      collect_modifiers(value, recipe, path);
    else if (is_transform(key))
      add_transform(key, value.is_null() ? Json::object() : value, recipe, path);
    else if (key.ends_with("Modifier"))
      recipe.modifiers.push_back(
          parse_modifier(key, value.is_null() ? Json::object() : value, recipe.origin, path));
    else if (key == "run_type" || key == "recipe_type" || key == "version" || key == "args")
      continue;
    else
      bad_key(recipe.origin, where.empty() ? "top level" : where, key, "unknown key",
              "stages end in _stage, groups in _modifiers, modifiers in Modifier");
  }
}

template <typename T>
std::optional<T> optional_value(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return {};
  return found->get<T>();
}

void set_refinement(GptqSettings& settings, std::optional<int> passes) {
  if (!passes) return;
  FARTHING_REQUIRE(*passes >= 0 && *passes <= 100, Code::kInvalidArgument,
                   "the passes of refinement should be from 0 to 100", {{"refine_passes", *passes}});
  settings.refine_passes = *passes;
}

void set_gptaq(Modifier& modifier, bool wanted, std::optional<double> alpha) {
  FARTHING_REQUIRE(modifier.method == Method::kGptq || (!wanted && !alpha), Code::kInvalidArgument,
                   "GPTAQ is a way of GPTQ, which is not the method here",
                   {{"method", method_name(modifier.method)}}, "use --method gptaq");
  if (wanted) modifier.gptq.gptaq_alpha = methods::kGptaqAlpha;
  if (!alpha) return;
  FARTHING_REQUIRE(*alpha >= 0 && *alpha <= 1, Code::kInvalidArgument,
                   "the share that GPTAQ makes up for should be from 0 to 1", {{"gptaq_alpha", *alpha}});
  modifier.gptq.gptaq_alpha = *alpha;
}

void set_strength(Recipe& recipe, std::optional<double> strength) {
  if (!strength) return;
  require_strength(*strength, recipe.origin);
  for (Transform& transform : recipe.transforms) transform.smoothquant.strength = *strength;
}

// "smoothquant+gptq": transforms, which go into the recipe, and the method of rounding, which is returned
// ("rtn" where none is named, "auto" only alone; "gptaq" is GPTQ that pairs its inputs).
std::string take_transforms(const std::string& method, Recipe& recipe) {
  std::string rounding;
  std::size_t begin = 0;
  while (begin <= method.size()) {
    const std::size_t end = std::min(method.find('+', begin), method.size());
    const std::string word = method.substr(begin, end - begin);
    begin = end + 1;
    if (auto transform = transform_named(word); transform && rounding.empty()) {
      recipe.transforms.push_back(std::move(*transform));
      continue;
    }
    const bool is_known =
        word == "rtn" || word == "gptq" || word == "gptaq" || (word == "auto" && method == "auto");
    FARTHING_REQUIRE(is_known && rounding.empty(), Code::kInvalidArgument, "unknown method",
                     {{"recipe", recipe.origin}, {"method", method}},
                     "use rtn, gptq or gptaq, or one of them after awq or smoothquant: awq+gptaq");
    rounding = word;
  }
  return rounding.empty() ? "rtn" : rounding;
}

// The short form: scheme, method, ignore, overrides, calibration beside each other.
void parse_short_form(const Json& root, Recipe& recipe) {
  static constexpr std::array kKeys = {"schema",         "scheme",        "method",
                                       "targets",        "ignore",        "sequential_targets",
                                       "actorder",       "observer",      "block_size",
                                       "dampening_frac", "config_groups", "calibration",
                                       "overrides",      "refine_passes", "smoothing_strength",
                                       "mappings",       "gptaq",         "gptaq_alpha"};
  for (const auto& [key, value] : root.items()) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
      bad_key(recipe.origin, "top level", key, "unknown key",
              fmt::format("known are {}", fmt::join(kKeys, ", ")));
    }
  }
  Json settings = root;
  for (const char* key : {"schema", "method", "calibration", "overrides", "refine_passes", "gptaq",
                          "gptaq_alpha", "smoothing_strength", "mappings"})
    settings.erase(key);
  const std::string rounding = take_transforms(root.value("method", "gptq"), recipe);
  Modifier modifier = parse_modifier(rounding == "rtn" ? "QuantizationModifier" : "GPTQModifier", settings,
                                     recipe.origin, "top level");
  set_strength(recipe, optional_value<double>(root, "smoothing_strength"));
  for (Transform& transform : recipe.transforms)
    transform.mappings = parse_mappings(root, recipe.origin, "top level");
  set_refinement(modifier.gptq, optional_value<int>(root, "refine_passes"));
  set_gptaq(modifier, rounding == "gptaq" || optional_value<bool>(root, "gptaq").value_or(false),
            optional_value<double>(root, "gptaq_alpha"));
  if (const auto overrides = root.find("overrides"); overrides != root.end()) {
    for (const Json& override_row : *overrides) {
      // An override is a group of its own whose targets are regular expressions, which win over class names.
      scheme::ConfigGroup group = modifier.groups.front();
      group.name = fmt::format("group_{}", modifier.groups.size());
      group.targets = strings_of(override_row.value("match", Json()), recipe.origin, "overrides", "match");
      if (const auto name = optional_value<std::string>(override_row, "scheme"))
        group.scheme = scheme::preset(*name);
      if (const auto size = optional_value<std::int64_t>(override_row, "group_size"))
        group.scheme.weights->group_size = *size;
      if (const auto bits = optional_value<int>(override_row, "bits")) group.scheme.weights->num_bits = *bits;
      modifier.groups.push_back(std::move(group));
    }
  }
  recipe.modifiers.push_back(std::move(modifier));
  if (const auto calibration = root.find("calibration");
      calibration != root.end() && calibration->is_object()) {
    recipe.calibration = {.source = optional_value<std::string>(*calibration, "source"),
                          .collator = optional_value<std::string>(*calibration, "collator"),
                          .question = optional_value<std::string>(*calibration, "question"),
                          .system = optional_value<std::string>(*calibration, "system"),
                          .samples = optional_value<std::int64_t>(*calibration, "samples"),
                          .length = optional_value<std::int64_t>(*calibration, "length"),
                          .seed = optional_value<std::int64_t>(*calibration, "seed")};
  }
}

void apply_to_weights(scheme::QuantizationArgs& weights, const RecipeFlags& flags) {
  if (flags.bits) weights.num_bits = *flags.bits;
  if (flags.symmetric) weights.symmetric = *flags.symmetric;
  if (flags.observer) weights.observer = *flags.observer;
  if (flags.group_size) {
    const bool channel = *flags.group_size < 0;
    weights.strategy = channel ? scheme::Strategy::kChannel : scheme::Strategy::kGroup;
    weights.group_size = channel ? std::nullopt : flags.group_size;
  }
}

}  // namespace

std::string_view method_name(Method method) {
  return method == Method::kGptq ? "gptq" : "rtn";
}

Recipe parse_recipe(const std::string& yaml, const std::string& origin) {
  Recipe recipe{.origin = origin, .text = yaml};
  const Json root = parse_yaml(yaml, origin);
  try {
    const bool is_short = root.is_object() && (root.contains("scheme") || root.contains("config_groups"));
    if (is_awq_config(root)) {
      recipe = recipe_from_awq_config(root, origin);
      recipe.text = yaml;
    } else if (is_gptq_config(root)) {
      recipe = recipe_from_gptq_config(root, origin);
      recipe.text = yaml;
    } else if (is_short)
      parse_short_form(root, recipe);
    else
      collect_modifiers(root, recipe, "");
  } catch (const Json::exception& error) {
    throw Error(Code::kInvalidArgument, "recipe has a value of the wrong kind",
                {{"recipe", origin}, {"reason", error.what()}});
  }
  FARTHING_REQUIRE(!recipe.modifiers.empty(), Code::kInvalidArgument,
                   recipe.transforms.empty() ? "recipe has no modifier"
                                             : "recipe has no modifier that makes the model smaller",
                   {{"recipe", origin}}, "start from one in recipes/");
  return recipe;
}

Recipe read_recipe(const std::filesystem::path& file) {
  return parse_recipe(read_text(file), file.string());
}

bool is_data_free(const scheme::Scheme& scheme) {
  return scheme::is_blockwise(*scheme.weights) || scheme::is_llm_int8(*scheme.weights);
}

std::vector<std::string_view> methods_for(const scheme::Scheme& scheme) {
  if (is_data_free(scheme)) return {"rtn", "awq", "smoothquant"};
  return {"rtn", "gptq", "awq", "smoothquant"};
}

Recipe recipe_from_flags(const RecipeFlags& flags, bool family_is_known) {
  Modifier modifier;
  const std::string name = flags.scheme.value_or("W4A16");
  scheme::Scheme scheme = scheme::preset(name);
  FARTHING_REQUIRE(scheme.weights, Code::kInvalidArgument, "the scheme quantizes no weights",
                   {{"scheme", name}});
  apply_to_weights(*scheme.weights, flags);
  Recipe recipe{.origin = "command line"};
  const std::string method = take_transforms(flags.method, recipe);
  set_strength(recipe, flags.smoothing_strength);
  const bool low_bits = scheme.weights->type == NumberType::kInt && scheme.weights->num_bits <= 4;
  const bool gptq =
      method == "gptq" || method == "gptaq" || (method == "auto" && low_bits && family_is_known);
  modifier.method = gptq ? Method::kGptq : Method::kRtn;
  modifier.name = gptq ? "GPTQModifier" : "QuantizationModifier";
  modifier.groups.push_back({.name = "group_0", .targets = flags.targets, .scheme = std::move(scheme)});
  modifier.ignore = flags.ignore;
  modifier.family_ignore = flags.ignore.empty();
  modifier.sequential_targets = flags.sequential_targets;
  if (flags.actorder) modifier.gptq.actorder = parse_actorder(*flags.actorder, "command line", "--actorder");
  if (flags.dampening_frac) modifier.gptq.dampening_frac = *flags.dampening_frac;
  if (flags.block_size) modifier.gptq.block_size = *flags.block_size;
  set_refinement(modifier.gptq, flags.refine_passes);
  set_gptaq(modifier, method == "gptaq" || flags.gptaq, flags.gptaq_alpha);
  recipe.modifiers.push_back(std::move(modifier));
  return recipe;
}

void apply_flags(Recipe& recipe, const RecipeFlags& flags) {
  set_strength(recipe, flags.smoothing_strength);
  const bool some_gptq =
      std::any_of(recipe.modifiers.begin(), recipe.modifiers.end(),
                  [](const Modifier& modifier) { return modifier.method == Method::kGptq; });
  for (Modifier& modifier : recipe.modifiers) {
    for (scheme::ConfigGroup& group : modifier.groups) {
      if (group.scheme.weights) apply_to_weights(*group.scheme.weights, flags);
    }
    modifier.ignore.insert(modifier.ignore.end(), flags.ignore.begin(), flags.ignore.end());
    if (!flags.sequential_targets.empty()) modifier.sequential_targets = flags.sequential_targets;
    if (flags.actorder)
      modifier.gptq.actorder = parse_actorder(*flags.actorder, "command line", "--actorder");
    if (flags.dampening_frac) modifier.gptq.dampening_frac = *flags.dampening_frac;
    if (flags.block_size) modifier.gptq.block_size = *flags.block_size;
    set_refinement(modifier.gptq, flags.refine_passes);
    if (modifier.method == Method::kGptq || !some_gptq) set_gptaq(modifier, flags.gptaq, flags.gptaq_alpha);
  }
}

}  // namespace farthing::plan
