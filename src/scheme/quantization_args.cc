#include "scheme/quantization_args.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>

#include "base/error.h"
#include "base/nearest_name.h"

namespace farthing::scheme {
namespace {

constexpr std::string_view kKeys[] = {"actorder", "block_structure", "dynamic",     "group_size", "num_bits",
                                      "observer", "observer_kwargs", "scale_dtype", "strategy",   "symmetric",
                                      "type",     "zp_dtype"};

// Indexed by NumberType.
constexpr std::string_view kTypes[] = {"int", "float", "nf4", "fp4"};

// Indexed by Strategy.
constexpr std::string_view kStrategies[] = {"tensor", "channel", "group",    "tensor_group",
                                            "block",  "token",   "attn_head"};

// The element types that scale_dtype and zp_dtype may name, as torch prints them.
constexpr std::pair<DType, std::string_view> kTorchTypes[] = {
    {DType::kF8E4M3, "torch.float8_e4m3fn"},
    {DType::kU8, "torch.uint8"},
    {DType::kI8, "torch.int8"},
    {DType::kBF16, "torch.bfloat16"},
    {DType::kF16, "torch.float16"},
    {DType::kF32, "torch.float32"},
    {DType::kI32, "torch.int32"},
};

[[noreturn]] void refuse(std::string message, std::string_view where, const Json& value,
                         std::string hint = {}) {
  throw Error(Code::kInvalidArgument, std::move(message), {{"at", where}, {"value", value.dump()}},
              std::move(hint));
}

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

// One key of the object: absent and null look alike, as they do to the reference.
struct Value {
  const Json& json;
  std::string where;

  bool is_null() const { return json.is_null(); }

  std::int64_t integer() const {
    if (json.is_number_integer()) return json.get<std::int64_t>();
    if (json.is_number_float() && std::fabs(json.get<double>()) < 1e15 &&
        json.get<double>() == std::floor(json.get<double>())) {
      return static_cast<std::int64_t>(json.get<double>());
    }
    refuse("not a whole number", where, json);
  }
  bool boolean() const {
    if (!json.is_boolean()) refuse("not true or false", where, json);
    return json.get<bool>();
  }
  std::string text() const {
    if (!json.is_string()) refuse("not a text", where, json);
    return json.get<std::string>();
  }
};

Value value_of(const Json& object, std::string_view key, std::string_view where) {
  static const Json null;
  const auto found = object.find(key);
  return {found == object.end() ? null : *found, fmt::format("{}.{}", where, key)};
}

NumberType parse_type(const Value& value) {
  const std::string text = lower_case(value.text());
  if (text == "int") return NumberType::kInt;
  if (text == "float") return NumberType::kFloat;
  if (text == "nf4") return NumberType::kNf4;
  if (text == "fp4") return NumberType::kFp4;
  refuse("unknown number type", value.where, value.json, R"(types are "int", "float", "nf4" and "fp4")");
}

Strategy parse_strategy(const Value& value) {
  const std::string text = lower_case(value.text());
  const auto found = std::find(std::begin(kStrategies), std::end(kStrategies), text);
  if (found == std::end(kStrategies)) {
    refuse("unknown strategy", value.where, value.json,
           fmt::format("strategies are {}", fmt::join(kStrategies, ", ")));
  }
  return static_cast<Strategy>(found - std::begin(kStrategies));
}

Dynamic parse_dynamic(const Value& value) {
  if (value.json.is_boolean()) return value.json.get<bool>() ? Dynamic::kDynamic : Dynamic::kStatic;
  if (value.json.is_string() && lower_case(value.text()) == "local") return Dynamic::kLocal;
  refuse("unknown value of dynamic", value.where, value.json, R"(use true, false or "local")");
}

ActivationOrder parse_actorder(const Value& value) {
  if (value.is_null()) return ActivationOrder::kNone;
  if (value.json.is_boolean())
    return value.json.get<bool>() ? ActivationOrder::kGroup : ActivationOrder::kNone;
  const std::string text = lower_case(value.text());
  if (text == "group" || text == "dynamic") return ActivationOrder::kGroup;
  if (text == "weight" || text == "static") return ActivationOrder::kWeight;
  refuse("unknown activation order", value.where, value.json,
         R"(use "weight", "static", "group", "dynamic" or null)");
}

std::array<std::int64_t, 2> parse_block_structure(const Value& value) {
  std::array<std::int64_t, 2> block{};
  if (value.json.is_array() && value.json.size() == 2) {
    for (int i = 0; i < 2; ++i) block[i] = Value{value.json[i], value.where}.integer();
  } else if (value.json.is_string()) {  // the old spelling, "128x128"
    const std::string text = value.text();
    char rest = 0;
    long long rows = 0, columns = 0;
    if (std::sscanf(text.c_str(), "%lldx%lld%c", &rows, &columns, &rest) != 2) rows = 0;
    block = {rows, columns};
  }
  if (block[0] <= 0 || block[1] <= 0) {
    refuse("block_structure is not two positive numbers", value.where, value.json, "write it as [128, 128]");
  }
  return block;
}

DType parse_torch_type(const Value& value) {
  const std::string text = value.text();
  for (const auto& [dtype, name] : kTorchTypes) {
    if (text == name || text == name.substr(std::string_view("torch.").size())) return dtype;
  }
  refuse("unknown element type", value.where, value.json);
}

std::string_view torch_type(DType dtype) {
  for (const auto& [known, name] : kTorchTypes) {
    if (known == dtype) return name;
  }
  FARTHING_CHECK(false, "{} cannot hold scales", dtype_name(dtype));
}

void refuse_unknown_keys(const Json& json, std::string_view where) {
  for (const auto& [key, value] : json.items()) {
    if (std::find(std::begin(kKeys), std::end(kKeys), key) != std::end(kKeys)) continue;
    const std::string nearest = nearest_name(key, kKeys);
    refuse("unknown key in quantization arguments", fmt::format("{}.{}", where, key), value,
           nearest.empty() ? fmt::format("keys are {}", fmt::join(kKeys, ", "))
                           : fmt::format("did you mean {}?", nearest));
  }
}

bool has_groups(Strategy strategy) {
  return strategy == Strategy::kGroup || strategy == Strategy::kTensorGroup;
}

// Reads strategy, group_size and block_structure, which depend on each other.
void parse_granularity(const Json& json, std::string_view where, QuantizationArgs& args) {
  const Value strategy = value_of(json, "strategy", where);
  const Value group_size = value_of(json, "group_size", where);
  const Value block = value_of(json, "block_structure", where);
  const std::int64_t group = group_size.is_null() ? -1 : group_size.integer();
  if (group == 0 || group < -1) {
    refuse("group_size is not possible", group_size.where, group_size.json,
           "use a positive number, or -1 for a scale per channel");
  }
  if (!strategy.is_null()) {
    args.strategy = parse_strategy(strategy);
  } else if (!group_size.is_null()) {
    args.strategy = group > 0 ? Strategy::kGroup : Strategy::kChannel;
  }
  if (has_groups(args.strategy) && group < 0) {
    refuse("this strategy needs a positive group_size", group_size.where, group_size.json);
  }
  if (!has_groups(args.strategy) && group > 0) {
    refuse("a group_size needs the strategy group", group_size.where, group_size.json,
           fmt::format("the strategy is {}", strategy_name(args.strategy)));
  }
  if (group > 0) args.group_size = group;
  if ((args.strategy == Strategy::kBlock) == block.is_null()) {
    refuse("the strategy block and a block_structure need each other", block.where, block.json);
  }
  if (!block.is_null()) args.block_structure = parse_block_structure(block);
}

void require_consistent(const QuantizationArgs& args, std::string_view where) {
  const auto require = [&](bool holds, std::string_view message) {
    FARTHING_REQUIRE(holds, Code::kInvalidArgument, std::string(message),
                     {{"at", where}, {"strategy", strategy_name(args.strategy)}});
  };
  if (args.type == NumberType::kInt) {
    require(args.num_bits >= 1 && args.num_bits <= 8, "integers have 1 to 8 bits");
  } else {
    require(args.num_bits == 4 || args.num_bits == 8, "floating-point codes have 4 or 8 bits");
    require(args.symmetric, "floating-point codes have no zero point: symmetric must be true");
  }
  if (is_blockwise(args))
    require(args.num_bits == 4 && args.strategy == Strategy::kGroup,
            "nf4 and fp4 have 4 bits and the strategy group");
  require(args.strategy != Strategy::kToken || args.dynamic == Dynamic::kDynamic,
          "the strategy token needs dynamic: true");
  require(args.dynamic != Dynamic::kLocal || args.strategy == Strategy::kTensorGroup,
          "dynamic: local needs the strategy tensor_group");
  require(args.dynamic == Dynamic::kStatic || args.strategy == Strategy::kToken ||
              args.strategy == Strategy::kTensor || has_groups(args.strategy),
          "dynamic quantization needs the strategy token, tensor, group or tensor_group");
  require(args.actorder != ActivationOrder::kGroup || has_groups(args.strategy),
          "actorder group needs the strategy group");
}

}  // namespace

bool is_blockwise(const QuantizationArgs& args) {
  return args.type == NumberType::kNf4 || args.type == NumberType::kFp4;
}

bool is_llm_int8(const QuantizationArgs& args) {
  return args.type == NumberType::kInt && args.num_bits == 8 && args.strategy == Strategy::kChannel &&
         args.scale_dtype == DType::kF32;
}

std::string_view strategy_name(Strategy strategy) {
  return kStrategies[static_cast<int>(strategy)];
}

QuantizationArgs parse_quantization_args(const Json& json, std::string_view where) {
  if (!json.is_object()) refuse("quantization arguments are not an object", where, json);
  refuse_unknown_keys(json, where);
  QuantizationArgs args;
  if (json.contains("num_bits")) {
    const std::int64_t bits = value_of(json, "num_bits", where).integer();
    args.num_bits = static_cast<int>(std::clamp<std::int64_t>(bits, -1, 99));
  }
  if (json.contains("type")) args.type = parse_type(value_of(json, "type", where));
  if (json.contains("symmetric")) args.symmetric = value_of(json, "symmetric", where).boolean();
  if (json.contains("dynamic")) args.dynamic = parse_dynamic(value_of(json, "dynamic", where));
  args.actorder = parse_actorder(value_of(json, "actorder", where));
  parse_granularity(json, where, args);

  const Value observer = value_of(json, "observer", where);
  if (!observer.is_null()) args.observer = observer.text();
  if (args.dynamic == Dynamic::kDynamic) args.observer.clear();
  const Value kwargs = value_of(json, "observer_kwargs", where);
  if (!kwargs.is_null()) {
    if (!kwargs.json.is_object()) refuse("not an object", kwargs.where, kwargs.json);
    args.observer_kwargs = kwargs.json;
  }
  const Value scale_dtype = value_of(json, "scale_dtype", where);
  if (args.strategy == Strategy::kTensorGroup) args.scale_dtype = DType::kF8E4M3;
  if (!scale_dtype.is_null()) args.scale_dtype = parse_torch_type(scale_dtype);
  const Value zp_dtype = value_of(json, "zp_dtype", where);
  if (!zp_dtype.is_null()) parse_torch_type(zp_dtype);
  require_consistent(args, where);
  return args;
}

Json to_json(const QuantizationArgs& args) {
  static constexpr std::string_view kOrders[] = {"", "group", "weight"};
  Json json = Json::object();
  json["actorder"] =
      args.actorder == ActivationOrder::kNone ? Json() : Json(kOrders[static_cast<int>(args.actorder)]);
  json["block_structure"] = args.block_structure ? Json(*args.block_structure) : Json();
  json["dynamic"] = args.dynamic == Dynamic::kLocal ? Json("local") : Json(args.dynamic == Dynamic::kDynamic);
  json["group_size"] = args.group_size ? Json(*args.group_size) : Json();
  json["num_bits"] = args.num_bits;
  json["observer"] = args.observer.empty() ? Json() : Json(args.observer);
  json["observer_kwargs"] = args.observer_kwargs;
  const bool is_implied = args.strategy == Strategy::kTensorGroup && args.scale_dtype == DType::kF8E4M3;
  if (args.scale_dtype && !is_implied) json["scale_dtype"] = torch_type(*args.scale_dtype);
  json["strategy"] = strategy_name(args.strategy);
  json["symmetric"] = args.symmetric;
  json["type"] = kTypes[static_cast<int>(args.type)];
  return json;
}

void require_weight_args(const QuantizationArgs& args, std::string_view where) {
  require_consistent(args, where);
  FARTHING_REQUIRE(args.dynamic == Dynamic::kStatic, Code::kInvalidArgument,
                   "weights cannot be quantized dynamically", {{"at", where}});
  FARTHING_REQUIRE(args.strategy != Strategy::kToken && args.strategy != Strategy::kAttentionHead,
                   Code::kInvalidArgument, "strategy is not for weights",
                   {{"at", where}, {"strategy", strategy_name(args.strategy)}},
                   "use tensor, channel, group or block");
}

void require_activation_args(const QuantizationArgs& args, std::string_view where) {
  require_consistent(args, where);
  FARTHING_REQUIRE(args.actorder == ActivationOrder::kNone, Code::kInvalidArgument,
                   "activations have no actorder", {{"at", where}});
  FARTHING_REQUIRE(args.strategy != Strategy::kChannel && args.strategy != Strategy::kBlock,
                   Code::kInvalidArgument, "strategy is not for activations",
                   {{"at", where}, {"strategy", strategy_name(args.strategy)}},
                   "use tensor, token, group or tensor_group");
}

CellGrid cell_grid(const QuantizationArgs& args, std::int64_t rows, std::int64_t columns) {
  require_weight_args(args, "weights");
  CellGrid grid{
      .rows = rows, .columns = columns, .cell_rows = 1, .cell_columns = std::max<std::int64_t>(columns, 1)};
  if (args.group_size) grid.cell_columns = *args.group_size;
  if (args.strategy == Strategy::kTensor) grid.cell_rows = std::max<std::int64_t>(rows, 1);
  if (args.block_structure)
    std::tie(grid.cell_rows, grid.cell_columns) =
        std::pair((*args.block_structure)[0], (*args.block_structure)[1]);
  return grid;
}

Granularity granularity_of(const QuantizationArgs& args) {
  switch (args.strategy) {
    case Strategy::kTensor:
      return Granularity::kTensor;
    case Strategy::kGroup:
    case Strategy::kTensorGroup:
      return Granularity::kGroup;
    case Strategy::kBlock:
      return Granularity::kBlock;
    default:
      return Granularity::kChannel;
  }
}

}  // namespace farthing::scheme
