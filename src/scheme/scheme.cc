#include "scheme/scheme.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/nearest_name.h"

namespace farthing::scheme {
namespace {

QuantizationArgs integer(int bits, Strategy strategy, std::int64_t group_size = 0) {
  QuantizationArgs args{.num_bits = bits, .type = NumberType::kInt, .strategy = strategy};
  if (group_size > 0) args.group_size = group_size;
  return args;
}

QuantizationArgs floating(int bits, Strategy strategy, std::int64_t group_size = 0) {
  QuantizationArgs args = integer(bits, strategy, group_size);
  args.type = NumberType::kFloat;
  return args;
}

QuantizationArgs dynamic(QuantizationArgs args) {
  args.dynamic = Dynamic::kDynamic;
  args.observer.clear();
  return args;
}

QuantizationArgs with_scales(QuantizationArgs args, DType scale_dtype) {
  args.scale_dtype = scale_dtype;
  return args;
}

QuantizationArgs int_group(int bits) {
  return integer(bits, Strategy::kGroup, 128);
}
QuantizationArgs int_channel() {
  return integer(8, Strategy::kChannel);
}
QuantizationArgs int_token(int bits) {
  return dynamic(integer(bits, Strategy::kToken));
}
QuantizationArgs fp8_token() {
  return dynamic(floating(8, Strategy::kToken));
}
QuantizationArgs nvfp4() {
  return with_scales(floating(4, Strategy::kTensorGroup, 16), DType::kF8E4M3);
}
QuantizationArgs mx(int bits) {
  return with_scales(floating(bits, Strategy::kGroup, 32), DType::kU8);
}

QuantizationArgs blockwise(NumberType type) {
  QuantizationArgs args = integer(4, Strategy::kGroup, 64);
  args.type = type;
  return args;
}

QuantizationArgs int4_asymmetric() {
  QuantizationArgs args = int_group(4);
  args.symmetric = false;
  return args;
}

QuantizationArgs fp8_block() {
  QuantizationArgs args = floating(8, Strategy::kBlock);
  args.block_structure = {128, 128};
  return args;
}

QuantizationArgs fp8_static_tensor() {
  QuantizationArgs args = floating(8, Strategy::kTensor);
  args.observer = "static_minmax";
  return args;
}

QuantizationArgs nvfp4_local() {
  QuantizationArgs args = nvfp4();
  args.dynamic = Dynamic::kLocal;
  args.observer = "static_minmax";
  return args;
}

struct Preset {
  std::string_view name;
  Scheme (*make)();
};

template <int kWeightBits, int kActivationBits>
Scheme grouped_integers() {
  Scheme scheme{.weights = int_group(kWeightBits)};
  if constexpr (kActivationBits < 16) scheme.input_activations = int_token(kActivationBits);
  return scheme;
}

// In the order of the documentation: what most people want first.
constexpr Preset kPresets[] = {
    {"W4A16", grouped_integers<4, 16>},
    {"W4A16_ASYM", [] { return Scheme{.weights = int4_asymmetric()}; }},
    {"W8A16", grouped_integers<8, 16>},
    {"W8A8", [] { return Scheme{.weights = int_channel(), .input_activations = int_token(8)}; }},
    {"INT8", [] { return Scheme{.weights = int_channel(), .input_activations = int_token(8)}; }},
    {"FP8_DYNAMIC",
     [] { return Scheme{.weights = floating(8, Strategy::kChannel), .input_activations = fp8_token()}; }},
    {"FP8",
     [] {
       return Scheme{.weights = floating(8, Strategy::kTensor), .input_activations = fp8_static_tensor()};
     }},
    {"FP8_BLOCK",
     [] {
       return Scheme{.weights = fp8_block(),
                     .input_activations = dynamic(floating(8, Strategy::kGroup, 128))};
     }},
    {"NVFP4A16", [] { return Scheme{.weights = nvfp4()}; }},
    {"NVFP4", [] { return Scheme{.weights = nvfp4(), .input_activations = nvfp4_local()}; }},
    {"MXFP4A16", [] { return Scheme{.weights = mx(4)}; }},
    {"MXFP4", [] { return Scheme{.weights = mx(4), .input_activations = dynamic(mx(4))}; }},
    {"MXFP8A16", [] { return Scheme{.weights = mx(8)}; }},
    {"MXFP8", [] { return Scheme{.weights = mx(8), .input_activations = dynamic(mx(8))}; }},
    {"NF4", [] { return Scheme{.weights = blockwise(NumberType::kNf4)}; }},
    {"NF4_DQ", [] { return Scheme{.weights = with_scales(blockwise(NumberType::kNf4), DType::kU8)}; }},
    {"FP4", [] { return Scheme{.weights = blockwise(NumberType::kFp4)}; }},
    {"FP4_DQ", [] { return Scheme{.weights = with_scales(blockwise(NumberType::kFp4), DType::kU8)}; }},
    {"LLM_INT8", [] { return Scheme{.weights = with_scales(int_channel(), DType::kF32)}; }},
    {"W4A8", grouped_integers<4, 8>},
    {"W4AFP8", [] { return Scheme{.weights = int_group(4), .input_activations = fp8_token()}; }},
    {"W4A4", grouped_integers<4, 4>},
    {"W2A16", grouped_integers<2, 16>},
    {"W3A16", grouped_integers<3, 16>},
    {"W5A16", grouped_integers<5, 16>},
    {"W6A16", grouped_integers<6, 16>},
    {"W7A16", grouped_integers<7, 16>},
    {"W2A8", grouped_integers<2, 8>},
    {"W3A8", grouped_integers<3, 8>},
    {"W5A8", grouped_integers<5, 8>},
    {"W6A8", grouped_integers<6, 8>},
    {"W7A8", grouped_integers<7, 8>},
    {"W2A4", grouped_integers<2, 4>},
    {"W3A4", grouped_integers<3, 4>},
    {"UNQUANTIZED", [] { return Scheme{}; }},
};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return upper(x) == upper(y); });
}

// The parts of a name that its presets differ in: number types and widths of weights and inputs.
bool same_numbers(const std::optional<QuantizationArgs>& a, const std::optional<QuantizationArgs>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->num_bits == b->num_bits && a->type == b->type && a->scale_dtype == b->scale_dtype;
}

int distance(const QuantizationArgs& a, const QuantizationArgs& b) {
  return (a.strategy != b.strategy) * 4 + (a.symmetric != b.symmetric) * 2 + (a.group_size != b.group_size);
}

const Json kNull;

const Json& member(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::vector<std::string> parse_targets(const Json& json, std::string_view where) {
  FARTHING_REQUIRE(json.is_array(), Code::kInvalidArgument, "targets is not a list",
                   {{"at", where}, {"value", json.dump()}});
  std::vector<std::string> targets;
  for (const Json& target : json) {
    FARTHING_REQUIRE(target.is_string(), Code::kInvalidArgument, "target is not a text",
                     {{"at", where}, {"value", target.dump()}});
    targets.push_back(target.get<std::string>());
  }
  return targets;
}

ConfigGroup parse_group(const std::string& name, const Json& json, const std::string& where) {
  static constexpr std::string_view kKeys[] = {"targets", "weights", "input_activations",
                                               "output_activations", "format"};
  if (json.is_array()) return {name, parse_targets(json, where), preset(name)};
  FARTHING_REQUIRE(json.is_object(), Code::kInvalidArgument, "config group is not an object",
                   {{"at", where}});
  for (const auto& [key, value] : json.items()) {
    FARTHING_REQUIRE(std::find(std::begin(kKeys), std::end(kKeys), key) != std::end(kKeys),
                     Code::kInvalidArgument, "unknown key in config group", {{"at", where}, {"key", key}},
                     fmt::format("keys are {}", fmt::join(kKeys, ", ")));
  }
  ConfigGroup group{.name = name, .targets = parse_targets(member(json, "targets"), where + ".targets")};
  const auto parse = [&](std::string_view key, auto require) -> std::optional<QuantizationArgs> {
    const Json& value = member(json, key);
    if (value.is_null()) return std::nullopt;
    const std::string at = fmt::format("{}.{}", where, key);
    QuantizationArgs args = parse_quantization_args(value, at);
    require(args, at);
    return args;
  };
  group.scheme.weights = parse("weights", require_weight_args);
  group.scheme.input_activations = parse("input_activations", require_activation_args);
  group.scheme.output_activations = parse("output_activations", require_activation_args);
  if (const Json& format = member(json, "format"); !format.is_null()) {
    FARTHING_REQUIRE(format.is_string() && format != "mixed-precision", Code::kInvalidArgument,
                     "format of a config group is not possible", {{"at", where}, {"format", format.dump()}});
    group.scheme.format = format.get<std::string>();
  }
  return group;
}

}  // namespace

std::span<const std::string_view> preset_names() {
  static const auto names = [] {
    std::array<std::string_view, std::size(kPresets)> result;
    std::transform(std::begin(kPresets), std::end(kPresets), result.begin(),
                   [](const Preset& p) { return p.name; });
    return result;
  }();
  return names;
}

Scheme preset(std::string_view name) {
  for (const Preset& known : kPresets) {
    if (equal_ignoring_case(known.name, name)) return known.make();
  }
  const std::string nearest = nearest_name(name, preset_names());
  throw Error(
      Code::kInvalidArgument, "unknown scheme", {{"scheme", name}},
      fmt::format("{}schemes are {}", nearest.empty() ? "" : fmt::format("did you mean {}? ", nearest),
                  fmt::join(preset_names(), ", ")));
}

std::string describe(const Scheme& scheme) {
  if (!scheme.weights) return "UNQUANTIZED";
  const QuantizationArgs& weights = *scheme.weights;
  const Preset* best = nullptr;
  int best_distance = 0;
  Scheme base;
  for (const Preset& candidate : kPresets) {
    Scheme made = candidate.make();
    if (!made.weights || !same_numbers(made.weights, weights) ||
        !same_numbers(made.input_activations, scheme.input_activations)) {
      continue;
    }
    int candidate_distance = distance(*made.weights, weights);
    if (made.input_activations)
      candidate_distance += distance(*made.input_activations, *scheme.input_activations);
    if (best != nullptr && candidate_distance >= best_distance) continue;
    best = &candidate;
    best_distance = candidate_distance;
    base = std::move(made);
  }
  std::string text = best != nullptr ? std::string(best->name)
                                     : fmt::format("{}{}", weights.type == NumberType::kInt ? "int" : "fp",
                                                   weights.num_bits);
  if (best == nullptr || weights.strategy != base.weights->strategy)
    text += fmt::format(" {}", strategy_name(weights.strategy));
  if (weights.group_size && (best == nullptr || weights.group_size != base.weights->group_size)) {
    text += fmt::format(" group {}", *weights.group_size);
  }
  if (!weights.symmetric && (best == nullptr || base.weights->symmetric)) text += " asymmetric";
  if (scheme.input_activations &&
      (best == nullptr || scheme.input_activations->dynamic != base.input_activations->dynamic)) {
    text += scheme.input_activations->dynamic == Dynamic::kStatic ? " static activations"
                                                                  : " dynamic activations";
  }
  return text;
}

std::vector<ConfigGroup> parse_config_groups(const Json& json, std::string_view where) {
  FARTHING_REQUIRE(json.is_object(), Code::kInvalidArgument, "config_groups is not an object",
                   {{"at", where}});
  std::vector<ConfigGroup> groups;
  for (const auto& [name, value] : json.items()) {
    groups.push_back(parse_group(name, value, where.empty() ? name : fmt::format("{}.{}", where, name)));
  }
  std::sort(groups.begin(), groups.end(),
            [](const ConfigGroup& a, const ConfigGroup& b) { return a.name < b.name; });
  return groups;
}

Json to_json(const ConfigGroup& group) {
  const auto args = [](const std::optional<QuantizationArgs>& value) {
    return value ? to_json(*value) : Json();
  };
  Json json = Json::object();
  json["format"] = group.scheme.format.empty() ? Json() : Json(group.scheme.format);
  json["input_activations"] = args(group.scheme.input_activations);
  json["output_activations"] = args(group.scheme.output_activations);
  json["targets"] = group.targets;
  json["weights"] = args(group.scheme.weights);
  return json;
}

}  // namespace farthing::scheme
