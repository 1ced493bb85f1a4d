// The table of formats. A new one is a folder and a row here.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/nearest_name.h"
#include "formats/compressed_tensors/reader.h"
#include "formats/compressed_tensors/writer.h"
#include "formats/dense.h"
#include "formats/weight_format.h"

namespace farthing::formats {
namespace {

using checkpoint::Checkpoint;

struct Format {
  std::string_view name;  // as --format spells it
  /// Whether the block of config.json with this quant_method belongs to the format.
  bool (*recognises)(std::string_view quant_method);
  std::unique_ptr<WeightReader> (*reader)(const Checkpoint&, const Json& block, OtherSpelling);
  std::unique_ptr<WeightWriter> (*writer)();
};

constexpr Format kFormats[] = {
    {"compressed-tensors",
     [](std::string_view method) {
       return method == "compressed-tensors" || method == "sparseml";
     },  // its name until 2024
     [](const Checkpoint& checkpoint, const Json& block,
        OtherSpelling other) -> std::unique_ptr<WeightReader> {
       return std::make_unique<compressed_tensors::Reader>(checkpoint, block, std::move(other));
     },
     []() -> std::unique_ptr<WeightWriter> { return std::make_unique<compressed_tensors::Writer>(); }},
};

const Json* member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// The block that describes the quantization: at the top, or (some vision-language exports) inside
// text_config.
const Json* quantization_block(const Json& config) {
  for (const std::string_view key : {"quantization_config", "compression_config"}) {
    if (const Json* block = member(config, key)) return block;
    if (const Json* text = member(config, "text_config")) {
      if (const Json* block = member(*text, key)) return block;
    }
  }
  return nullptr;
}

std::string quant_method_of(const Json& config, const Json& block) {
  if (const Json* method = member(block, "quant_method"); method != nullptr && method->is_string())
    return method->get<std::string>();
  if (member(config, "compression_config") == &block) return "compressed-tensors";
  const auto flag = [&](std::string_view key) {
    return member(block, key) != nullptr && *member(block, key) == true;
  };
  return flag("load_in_4bit") || flag("load_in_8bit") ? "bitsandbytes" : "";
}

// Quantized tensors without a word about them in the config cannot be told apart from damage.
void refuse_unannounced(const Checkpoint& checkpoint) {
  for (const checkpoint::TensorInfo& info : checkpoint.tensors()) {
    for (const std::string_view suffix : {".weight_packed", ".weight_scale", ".qweight", ".qzeros"}) {
      FARTHING_REQUIRE(!info.name.ends_with(suffix), Code::kCorruptData,
                       "weights are quantized but config.json does not say how",
                       {{"file", info.file.string()}, {"tensor", info.name}},
                       "get the config.json that belongs to these weights");
    }
  }
}

}  // namespace

QuantizedMatrix DenseReader::read(std::string_view module) const {
  FARTHING_CHECK(false, "{} is not quantized", module);
}

std::unique_ptr<WeightReader> detect(const Checkpoint& checkpoint, const Json& config,
                                     OtherSpelling other_spelling) {
  const Json* block = quantization_block(config);
  if (block == nullptr) {
    refuse_unannounced(checkpoint);
    return std::make_unique<DenseReader>();
  }
  const std::string method = quant_method_of(config, *block);
  for (const Format& format : kFormats) {
    if (format.recognises(method)) return format.reader(checkpoint, *block, std::move(other_spelling));
  }
  throw Error(Code::kUnsupported, "unknown quantization method",
              {{"file", (checkpoint.directory() / "config.json").string()}, {"quant_method", method}},
              fmt::format("known ones are {}", fmt::join(writer_names(), ", ")));
}

std::span<const std::string_view> writer_names() {
  static const auto names = [] {
    std::array<std::string_view, std::size(kFormats)> result;
    std::transform(std::begin(kFormats), std::end(kFormats), result.begin(),
                   [](const Format& format) { return format.name; });
    return result;
  }();
  return names;
}

std::unique_ptr<WeightWriter> writer_for(std::string_view format) {
  for (const Format& known : kFormats) {
    if (known.name == format) return known.writer();
  }
  const std::string nearest = nearest_name(format, writer_names());
  throw Error(
      Code::kInvalidArgument, "unknown format", {{"format", format}},
      fmt::format("{}formats are {}", nearest.empty() ? "" : fmt::format("did you mean {}? ", nearest),
                  fmt::join(writer_names(), ", ")));
}

}  // namespace farthing::formats
