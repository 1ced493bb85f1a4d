#include "formats/bitsandbytes/quant_state.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"

namespace farthing::formats::bitsandbytes {
namespace {

constexpr std::string_view kKeys[] = {"quant_type",       "blocksize",    "dtype",        "shape",
                                      "nested_blocksize", "nested_dtype", "nested_offset"};
constexpr std::size_t kOffsetLength = 25;  // of the longest double that Python prints
constexpr std::int64_t kLargestDimension = std::int64_t{1} << 40;

class Keys {
 public:
  Keys(const Json& json, std::string_view where) : json_(json), where_(where) {}

  bool has(std::string_view key) const { return json_.contains(key); }

  std::int64_t positive(const Json& value, std::string_view key) const {
    require(value.is_number_integer() && value > 0 && value <= kLargestDimension, key,
            "is not a positive whole number");
    return value.get<std::int64_t>();
  }
  std::int64_t positive(std::string_view key) const { return positive(at(key), key); }

  std::string text(std::string_view key) const {
    require(at(key).is_string(), key, "is not a text");
    return at(key).get<std::string>();
  }

  const Json& at(std::string_view key) const {
    require(has(key), key, "is missing");
    return json_.at(std::string(key));
  }

  void require(bool holds, std::string_view key, std::string_view problem) const {
    FARTHING_REQUIRE(holds, Code::kCorruptData, fmt::format("the quant_state's {} {}", key, problem),
                     {{"tensor", where_}, {"quant_state", json_.dump().substr(0, 200)}});
  }

 private:
  const Json& json_;
  std::string_view where_;
};

}  // namespace

std::string_view type_name(NumberType type) {
  return type == NumberType::kNf4 ? "nf4" : "fp4";
}

QuantState parse_quant_state(std::string_view text, std::string_view where) {
  const Json json = parse_json(text, where);
  FARTHING_REQUIRE(json.is_object(), Code::kCorruptData, "the quant_state is not an object",
                   {{"tensor", where}});
  const Keys keys(json, where);
  for (const auto& [key, value] : json.items())
    keys.require(std::find(std::begin(kKeys), std::end(kKeys), key) != std::end(kKeys), key, "is unknown");
  QuantState state;
  const std::string type = keys.text("quant_type");
  keys.require(type == "nf4" || type == "fp4", "quant_type", "is neither nf4 nor fp4");
  state.type = type == "nf4" ? NumberType::kNf4 : NumberType::kFp4;
  state.block_size = keys.positive("blocksize");
  const std::optional<DType> dtype = parse_torch_dtype(keys.text("dtype"));
  keys.require(dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF32, "dtype",
               "is not one of float32, float16 and bfloat16");
  state.dtype = *dtype;
  const Json& shape = keys.at("shape");
  keys.require(shape.is_array() && shape.size() == 2, "shape", "is not two numbers");
  state.rows = keys.positive(shape[0], "shape");
  state.columns = keys.positive(shape[1], "shape");
  if (!keys.has("nested_offset")) return state;
  keys.require(keys.at("nested_offset").is_number(), "nested_offset", "is not a number");
  state.nested = QuantState::Nested{.block_size = keys.positive("nested_blocksize"),
                                    .offset = keys.at("nested_offset").get<float>()};
  return state;
}

std::string quant_state_text(const QuantState& state) {
  std::string text = fmt::format(R"({{"quant_type": "{}", "blocksize": {}, "dtype": "{}", "shape": [{}, {}])",
                                 type_name(state.type), state.block_size, torch_dtype_name(state.dtype),
                                 state.rows, state.columns);
  if (!state.nested) return text + "}";
  const std::string offset = fmt::format("{}", static_cast<double>(state.nested->offset));
  text += fmt::format(R"(, "nested_blocksize": {}, "nested_dtype": "float32", "nested_offset": {}}})",
                      state.nested->block_size, offset);
  return text + std::string(kOffsetLength - std::min(kOffsetLength, offset.size()), ' ');
}

}  // namespace farthing::formats::bitsandbytes
