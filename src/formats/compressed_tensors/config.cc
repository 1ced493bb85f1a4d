#include "formats/compressed_tensors/config.h"

#include <algorithm>

#include "base/error.h"

namespace farthing::formats::compressed_tensors {
namespace {

// The release whose loader is the oldest that we write for: it names the set of keys in use.
constexpr std::string_view kVersion = "0.12.2";

constexpr std::string_view kLegacyFormats[] = {"marlin-24", "sparse-24-bitmask", "sparse-bitmask"};

struct FormatRow {
  std::string_view name;
  Container container;
};

constexpr FormatRow kFormats[] = {
    {"pack-quantized", Container::kPackedIntegers},
    {"int-quantized", Container::kPlainIntegers},
    {"float-quantized", Container::kFp8},
    {"mxfp8-quantized", Container::kFp8},
    {"nvfp4-pack-quantized", Container::kPackedFp4},
    {"mxfp4-pack-quantized", Container::kPackedFp4},
};

std::string text_or(const Json& block, std::string_view key, std::string_view fallback) {
  const auto found = block.find(key);
  return found != block.end() && found->is_string() ? found->get<std::string>() : std::string(fallback);
}

void refuse_legacy_format(std::string_view format) {
  FARTHING_REQUIRE(
      std::find(std::begin(kLegacyFormats), std::end(kLegacyFormats), format) == std::end(kLegacyFormats),
      Code::kUnsupported, "sparse storage of old compressed-tensors is not supported", {{"format", format}},
      "load the model with the release that wrote it and save it uncompressed");
}

// Rotations folded into the weights need nothing at run time; the others would have to be computed on
// activations.
void refuse_online_transforms(const Json& block) {
  const auto transforms = block.find("transform_config");
  if (transforms == block.end() || !transforms->is_object() || !transforms->contains("config_groups")) return;
  for (const auto& [name, group] : (*transforms)["config_groups"].items()) {
    const Json apply = group.is_object() ? group.value("apply", Json::array()) : Json::array();
    for (const Json& application : apply) {
      const std::string location = application.is_object() ? text_or(application, "location", "") : "";
      FARTHING_REQUIRE(location == "weight_input" || location == "weight_output", Code::kUnsupported,
                       "the model needs rotations at run time",
                       {{"transform", name}, {"location", location}});
    }
  }
}

}  // namespace

Container container_of(std::string_view format) {
  for (const FormatRow& row : kFormats) {
    if (row.name == format) return row.container;
  }
  throw Error(Code::kUnsupported, "unknown compressed-tensors format", {{"format", format}});
}

std::string format_for(const scheme::Scheme& scheme) {
  if (!scheme.weights) return "dense";
  const scheme::QuantizationArgs& weights = *scheme.weights;
  const bool is_integer = weights.type == NumberType::kInt;
  if (!scheme.format.empty() && scheme.format != "naive-quantized") return scheme.format;
  if (!is_integer && weights.num_bits == 4)
    return weights.scale_dtype == DType::kU8 ? "mxfp4-pack-quantized" : "nvfp4-pack-quantized";
  if (!is_integer) return weights.scale_dtype == DType::kU8 ? "mxfp8-quantized" : "float-quantized";
  return scheme.input_activations || !scheme.format.empty() ? "int-quantized" : "pack-quantized";
}

Config parse_config(const Json& block) {
  FARTHING_REQUIRE(block.is_object(), Code::kInvalidArgument, "quantization_config is not an object");
  const std::string format = text_or(block, "format", "dense");
  refuse_legacy_format(format);
  if (const auto sparsity = block.find("sparsity_config"); sparsity != block.end() && sparsity->is_object()) {
    refuse_legacy_format(text_or(*sparsity, "format", "dense"));
  }
  refuse_online_transforms(block);
  const auto groups = block.find("config_groups");
  FARTHING_REQUIRE(groups != block.end(), Code::kInvalidArgument, "quantization_config has no config_groups",
                   {{"keys", block.size()}}, "the block in config.json was cut or edited");
  Config config{.groups = scheme::parse_config_groups(*groups, "quantization_config.config_groups"),
                .format = format};
  if (const auto cache = block.find("kv_cache_scheme"); cache != block.end() && !cache->is_null()) {
    constexpr std::string_view kWhere = "quantization_config.kv_cache_scheme";
    config.kv_cache_scheme = scheme::parse_quantization_args(*cache, kWhere);
    scheme::require_activation_args(*config.kv_cache_scheme, kWhere);
  }
  return config;
}

Json config_json(const ModelQuantization& model) {
  Json groups = Json::object();
  std::string model_format;
  for (const scheme::ConfigGroup& group : model.groups) {
    scheme::ConfigGroup written = group;
    written.scheme.format = format_for(group.scheme);
    model_format = model_format.empty() || model_format == written.scheme.format ? written.scheme.format
                                                                                 : "mixed-precision";
    groups[group.name] = scheme::to_json(written);
  }
  // Sorted by key, as compressed-tensors writes it.
  Json block = Json::object();
  block["config_groups"] = std::move(groups);
  block["format"] = model_format.empty() ? "dense" : model_format;
  block["global_compression_ratio"] = nullptr;
  block["ignore"] = model.ignore;
  block["kv_cache_scheme"] = model.kv_cache_scheme ? scheme::to_json(*model.kv_cache_scheme) : Json();
  block["quant_method"] = "compressed-tensors";
  block["quantization_status"] = "compressed";
  block["sparsity_config"] = Json::object();
  block["transform_config"] = Json::object();
  block["version"] = kVersion;
  return block;
}

}  // namespace farthing::formats::compressed_tensors
