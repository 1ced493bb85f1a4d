#include "formats/gptq/config.h"

#include <algorithm>

#include "base/error.h"

namespace farthing::formats::gptq {
namespace {

constexpr int kBits[] = {2, 3, 4, 8};

// The first of the keys that is there: AWQ's words for the same things are accepted too.
const Json* find(const Json& block, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const auto found = block.find(key);
    if (found != block.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

[[noreturn]] void refuse(std::string_view problem, std::string_view key, const Json& value) {
  throw Error(Code::kCorruptData, std::string(problem), {{"key", key}, {"value", value.dump()}},
              "quantize_config.json may belong to another checkpoint");
}

bool flag(const Json& block, std::string_view key, bool fallback) {
  const Json* value = find(block, {key});
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) refuse("not true or false", key, *value);
  return value->get<bool>();
}

std::string text(const Json& block, std::initializer_list<std::string_view> keys, std::string_view fallback) {
  const Json* value = find(block, keys);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) refuse("not a text", *keys.begin(), *value);
  return value->get<std::string>();
}

// Keys that are absent keep their value.
void read_settings(const Json& block, Settings& settings) {
  if (const Json* bits = find(block, {"bits", "w_bit"})) {
    if (!bits->is_number_integer()) refuse("not a whole number", "bits", *bits);
    settings.bits = static_cast<int>(std::clamp<std::int64_t>(bits->get<std::int64_t>(), -1, 99));
    if (std::find(std::begin(kBits), std::end(kBits), settings.bits) == std::end(kBits))
      refuse("GPTQ stores 2, 3, 4 or 8 bits", "bits", *bits);
  }
  if (const Json* group = find(block, {"group_size", "q_group_size"})) {
    if (!group->is_number_integer()) refuse("not a whole number", "group_size", *group);
    settings.group_size = group->get<std::int64_t>();
    if (settings.group_size == 0 || settings.group_size < -1)
      refuse("group_size is not possible", "group_size", *group);
  }
  settings.symmetric = flag(block, "sym", settings.symmetric);
  settings.desc_act = flag(block, "desc_act", settings.desc_act);
}

std::vector<Override> read_overrides(const Json& block, const Settings& base) {
  std::vector<Override> overrides;
  const Json* dynamic = find(block, {"dynamic"});
  if (dynamic == nullptr || *dynamic == false) return overrides;
  if (!dynamic->is_object()) refuse("not a map of patterns", "dynamic", *dynamic);
  for (const auto& [key, value] : dynamic->items()) {
    const bool skips = key.starts_with("-:");
    const std::string pattern = skips || key.starts_with("+:") ? key.substr(2) : key;
    Settings settings = base;
    settings.quantized = !skips;
    if (!skips) {
      if (!value.is_object()) refuse("not an object", "dynamic", value);
      read_settings(value, settings);
    }
    overrides.push_back({scheme::Target("re:" + pattern), settings});
  }
  return overrides;
}

// GPTQModel signs its files, and so do the others but AutoGPTQ.
bool names_a_quantizer(const Json& block) {
  const Json* meta = find(block, {"meta"});
  return meta != nullptr && meta->is_object() && meta->contains("quantizer");
}

Settings settings_of(const scheme::Scheme& scheme) {
  const scheme::QuantizationArgs& args = *scheme.weights;
  return {.bits = args.num_bits,
          .group_size = args.group_size.value_or(-1),
          .symmetric = args.symmetric,
          .desc_act = args.actorder == scheme::ActivationOrder::kGroup};
}

Json settings_json(const Settings& settings) {
  return {{"bits", settings.bits},
          {"desc_act", settings.desc_act},
          {"group_size", settings.group_size},
          {"sym", settings.symmetric}};
}

// A pattern of ours as the regular expression that `dynamic` wants: re.match on the whole name.
std::string as_regex(const std::string& pattern) {
  if (pattern.starts_with("re:")) return pattern.substr(3);
  std::string escaped;
  for (const char c : pattern) {
    if (std::string_view(R"(.^$|()[]{}*+?\)").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped + "$";
}

bool leaves_alone(const std::vector<std::string>& ignore, const std::string& module) {
  return std::any_of(ignore.begin(), ignore.end(), [&](const std::string& pattern) {
    return scheme::matches(pattern, {.names = {module}, .class_name = ""});
  });
}

}  // namespace

const Settings& Config::settings_of(const scheme::ModuleNames& names) const {
  for (const Override& entry : overrides) {
    if (entry.target.match(names)) return entry.settings;
  }
  return settings;
}

Config parse_config(const Json& block) {
  FARTHING_REQUIRE(block.is_object(), Code::kCorruptData, "the GPTQ configuration is not an object");
  Config config;
  if (find(block, {"bits", "w_bit"}) == nullptr)
    refuse("the GPTQ configuration does not say how many bits", "bits", Json());
  read_settings(block, config.settings);
  const std::string format = text(block, {"checkpoint_format", "format"}, "gptq");
  FARTHING_REQUIRE(format == "gptq" || format == "gptq_v2", Code::kUnsupported,
                   "this storage of GPTQ weights is not read", {{"checkpoint_format", format}},
                   "known ones are gptq and gptq_v2");
  config.version = format == "gptq_v2" ? Version::kV2 : Version::kV1;
  const std::string container = text(block, {"pack_dtype"}, "int32");
  FARTHING_REQUIRE(container == "int32", Code::kUnsupported, "codes are packed into words of another size",
                   {{"pack_dtype", container}}, "int32 is read");
  config.is_auto_gptq = !names_a_quantizer(block);
  config.overrides = read_overrides(block, config.settings);
  return config;
}

scheme::Scheme scheme_of(const Settings& settings) {
  scheme::QuantizationArgs args{.num_bits = settings.bits, .symmetric = settings.symmetric};
  args.strategy = settings.group_size > 0 ? scheme::Strategy::kGroup : scheme::Strategy::kChannel;
  if (settings.group_size > 0) args.group_size = settings.group_size;
  if (settings.desc_act && settings.group_size > 0) args.actorder = scheme::ActivationOrder::kGroup;
  return {.weights = std::move(args)};
}

Json config_json(const ModelQuantization& model, Version version) {
  FARTHING_CHECK(!model.groups.empty());
  const std::string_view format = version == Version::kV2 ? "gptq_v2" : "gptq";
  Json block = settings_json(settings_of(model.groups.front().scheme));
  block["checkpoint_format"] = format;
  block["format"] = format;
  block["lm_head"] = !leaves_alone(model.ignore, "lm_head");
  block["meta"] = {{"damp_percent", 0.01},
                   {"quantizer", {"farthing:1"}},
                   {"static_groups", false},
                   {"true_sequential", true}};
  block["method"] = "gptq";
  block["pack_dtype"] = "int32";
  block["quant_method"] = "gptq";
  Json dynamic = Json::object();
  for (std::size_t i = 1; i < model.groups.size(); ++i) {
    for (const std::string& target : model.groups[i].targets)
      dynamic["+:" + as_regex(target)] = settings_json(settings_of(model.groups[i].scheme));
  }
  for (const std::string& pattern : model.ignore) {
    if (pattern != "lm_head") dynamic["-:" + as_regex(pattern)] = Json::object();  // it has a key of its own
  }
  if (!dynamic.empty()) block["dynamic"] = std::move(dynamic);
  SortedJson sorted = SortedJson::parse(block.dump());  // as Python writes it
  return Json::parse(sorted.dump());
}

}  // namespace farthing::formats::gptq
