// The table of formats. A new one is a folder and a row here.
#include <algorithm>
#include <array>

#include "base/directory.h"
#include "base/error.h"
#include "base/nearest_name.h"
#include "formats/autoawq/reader.h"
#include "formats/autoawq/writer.h"
#include "formats/bitsandbytes/reader.h"
#include "formats/bitsandbytes/writer.h"
#include "formats/compressed_tensors/reader.h"
#include "formats/compressed_tensors/writer.h"
#include "formats/dense.h"
#include "formats/fp8/reader.h"
#include "formats/gptq/reader.h"
#include "formats/gptq/writer.h"
#include "formats/mxfp4/reader.h"
#include "formats/weight_format.h"

namespace farthing::formats {
namespace {

using checkpoint::Checkpoint;

constexpr std::string_view kMethods = "compressed-tensors, gptq, awq, bitsandbytes, fp8, fbgemm_fp8, mxfp4";

// How a checkpoint is recognised and read.
struct ReadableFormat {
  /// Whether the block of config.json with this quant_method belongs to the format.
  bool (*recognises)(std::string_view quant_method, const Json& block);
  std::unique_ptr<WeightReader> (*reader)(const Checkpoint&, const Json& block, OtherSpelling);
};

template <typename Reader>
std::unique_ptr<WeightReader> make_reader(const Checkpoint& checkpoint, const Json& block,
                                          OtherSpelling other) {
  return std::make_unique<Reader>(checkpoint, block, std::move(other));
}

// AutoRound says in which of the other formats it packed.
bool is_auto_round(std::string_view method, const Json& block, std::string_view packing) {
  if (method != "auto-round" || !block.is_object()) return false;
  const auto found = block.find("packing_format");
  return found != block.end() && found->is_string() &&
         found->get_ref<const std::string&>().ends_with(packing);
}

constexpr ReadableFormat kReaders[] = {
    {[](std::string_view method, const Json&) {
       return method == "compressed-tensors" || method == "sparseml";  // its name until 2024
     },
     make_reader<compressed_tensors::Reader>},
    {[](std::string_view method, const Json& block) {
       return method == "gptq" || is_auto_round(method, block, "gptq");
     },
     make_reader<gptq::Reader>},
    {[](std::string_view method, const Json& block) {
       return method == "awq" || is_auto_round(method, block, "awq");
     },
     make_reader<autoawq::Reader>},
    {[](std::string_view method, const Json&) { return method == "bitsandbytes"; },
     make_reader<bitsandbytes::Reader>},
    {[](std::string_view method, const Json&) { return method == "fp8" || method == "fbgemm_fp8"; },
     make_reader<fp8::Reader>},
    {[](std::string_view method, const Json&) { return method == "mxfp4"; }, make_reader<mxfp4::Reader>},
};

struct WritableFormat {
  std::string_view name;  // as --format spells it
  std::unique_ptr<WeightWriter> (*writer)();
};

constexpr WritableFormat kWriters[] = {
    {"compressed-tensors",
     []() -> std::unique_ptr<WeightWriter> { return std::make_unique<compressed_tensors::Writer>(); }},
    {"awq", []() -> std::unique_ptr<WeightWriter> { return std::make_unique<autoawq::Writer>(); }},
    {"gptq",
     []() -> std::unique_ptr<WeightWriter> { return std::make_unique<gptq::Writer>(gptq::Version::kV1); }},
    {"gptq_v2",
     []() -> std::unique_ptr<WeightWriter> { return std::make_unique<gptq::Writer>(gptq::Version::kV2); }},
    {"bitsandbytes",
     []() -> std::unique_ptr<WeightWriter> { return std::make_unique<bitsandbytes::Writer>(); }},
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

// AutoGPTQ and AutoAWQ once said it in a file of its own. Nothing when there is none.
std::optional<Json> block_of_side_file(const Checkpoint& checkpoint) {
  for (const std::string_view name : {"quantize_config.json", "quant_config.json"}) {
    const std::filesystem::path file = checkpoint.directory() / name;
    if (!path_exists(file)) continue;
    Json block = read_json(file);
    if (!block.is_object()) continue;
    if (!block.contains("quant_method")) block["quant_method"] = block.contains("w_bit") ? "awq" : "gptq";
    return block;
  }
  return std::nullopt;
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

// A tensor that only quantized weights have, or null.
const checkpoint::TensorInfo* quantized_tensor(const Checkpoint& checkpoint) {
  for (const checkpoint::TensorInfo& info : checkpoint.tensors()) {
    for (const std::string_view suffix :
         {".weight_packed", ".weight_scale", ".qweight", ".qzeros", ".weight_scale_inv", ".SCB"}) {
      if (info.name.ends_with(suffix)) return &info;
    }
  }
  return nullptr;
}

}  // namespace

QuantizedMatrix DenseReader::read(std::string_view module) const {
  FARTHING_CHECK(false, "{} is not quantized", module);
}

QuantizedMatrix WeightReader::read_rows(std::string_view module, const RowRange&) const {
  FARTHING_CHECK(false, "{} is one weight", module);
}

std::vector<std::pair<std::string, Tensor>> WeightWriter::encode_activation(
    const std::string& module, scheme::ActivationSite, const scheme::ActivationQuantization&, DType) const {
  throw Error(Code::kUnsupported, "the format has no quantized activations",
              {{"format", name()}, {"module", module}}, "use --format compressed-tensors");
}

std::vector<checkpoint::TensorPlan> WeightWriter::plan_cache(const std::string& attention,
                                                             const scheme::QuantizationArgs&, std::int64_t,
                                                             DType) const {
  throw Error(Code::kUnsupported, "the format has no quantized cache",
              {{"format", name()}, {"module", attention}}, "use --format compressed-tensors");
}

std::unique_ptr<WeightReader> detect(const Checkpoint& checkpoint, const Json& config,
                                     OtherSpelling other_spelling) {
  const Json* block = quantization_block(config);
  std::optional<Json> side_block;
  if (block == nullptr) {
    const checkpoint::TensorInfo* quantized = quantized_tensor(checkpoint);
    if (quantized == nullptr) return std::make_unique<DenseReader>();
    // Without a word about them, quantized tensors cannot be told apart from damage.
    side_block = block_of_side_file(checkpoint);
    FARTHING_REQUIRE(side_block.has_value(), Code::kCorruptData,
                     "weights are quantized but config.json does not say how",
                     {{"file", quantized->file.string()}, {"tensor", quantized->name}},
                     "get the config.json that belongs to these weights");
    block = &*side_block;
  }
  const std::string method = quant_method_of(config, *block);
  for (const ReadableFormat& format : kReaders) {
    if (format.recognises(method, *block))
      return format.reader(checkpoint, *block, std::move(other_spelling));
  }
  throw Error(Code::kUnsupported, "unknown quantization method",
              {{"file", (checkpoint.directory() / "config.json").string()}, {"quant_method", method}},
              fmt::format("known ones are {}", kMethods));
}

std::span<const std::string_view> writer_names() {
  static const auto names = [] {
    std::array<std::string_view, std::size(kWriters)> result;
    std::transform(std::begin(kWriters), std::end(kWriters), result.begin(),
                   [](const WritableFormat& format) { return format.name; });
    return result;
  }();
  return names;
}

std::unique_ptr<WeightWriter> writer_for(std::string_view format) {
  for (const WritableFormat& known : kWriters) {
    if (known.name == format) return known.writer();
  }
  const std::string nearest = nearest_name(format, writer_names());
  throw Error(
      Code::kInvalidArgument, "unknown format", {{"format", format}},
      fmt::format("{}formats are {}", nearest.empty() ? "" : fmt::format("did you mean {}? ", nearest),
                  fmt::join(writer_names(), ", ")));
}

}  // namespace farthing::formats
