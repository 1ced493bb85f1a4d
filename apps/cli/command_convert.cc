// farthing convert: the same weights in another format, or plain.
#include "base/units.h"
#include "cli/commands.h"
#include "formats/weight_format.h"
#include "models/config.h"
#include "models/family.h"
#include "quantize/convert.h"

namespace farthing::cli {
namespace {

struct ConvertOptions {
  std::string model;
  std::filesystem::path output;
  std::string format;
  std::optional<std::string> dtype;
  bool dequantize = false, overwrite = false;
};

std::optional<DType> parse_dtype_flag(const std::optional<std::string>& name) {
  if (!name) return std::nullopt;
  const std::optional<DType> dtype = parse_torch_dtype(*name);
  FARTHING_REQUIRE(dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16,
                   Code::kInvalidArgument, "weights cannot have this type", {{"dtype", *name}},
                   "use float32, float16 or bfloat16");
  return dtype;
}

std::optional<nn::ModelSpec> declare_if_known(const Json& config) {
  try {
    return models::declare(models::Config(config));
  } catch (const Error& error) {
    if (error.code() != Code::kUnsupported) throw;
    return std::nullopt;
  }
}

int run_convert(App& app, const ConvertOptions& options) {
  FARTHING_REQUIRE(options.dequantize != !options.format.empty(), Code::kInvalidArgument,
                   "say what to convert to: a format or plain weights", {},
                   "use either --format NAME or --dequantize");
  FARTHING_REQUIRE(!options.dtype || options.dequantize, Code::kInvalidArgument,
                   "--dtype is for plain weights", {}, "add --dequantize, or leave it out");
  const auto source = checkpoint::Checkpoint::open(checkpoint::find_model(options.model));
  const quantize::ConvertResult result = quantize::convert(source, declare_if_known(source.config()),
                                                           {.output = options.output,
                                                            .format = options.format,
                                                            .dtype = parse_dtype_flag(options.dtype),
                                                            .overwrite = options.overwrite},
                                                           app.threads(), app.reporter(), app.cancel());
  if (app.json()) {
    app.write_json({{"lossless", result.lossless},
                    {"layers", result.layers},
                    {"from", result.from},
                    {"to", result.to},
                    {"bytes_in", result.bytes_in},
                    {"bytes_out", result.bytes_out},
                    {"output", options.output.string()}});
  } else {
    app.write(fmt::format("{} -> {}  {} layers, {} (was {}), {}\n", result.from, result.to, result.layers,
                          format_bytes(result.bytes_out), format_bytes(result.bytes_in),
                          result.lossless ? "every value the same" : "values rounded to their new type"));
  }
  return kDone;
}

}  // namespace

void add_convert(App& app) {
  auto options = std::make_shared<ConvertOptions>();
  app.command("convert", "the same weights in another format, or plain")
      .example("farthing convert ./model-AWQ -o ./model-W4A16 --format compressed-tensors")
      .example("farthing convert ./model-GPTQ -o ./model --dequantize --dtype float16")
      .positional("MODEL", options->model, "quantized model folder, or org/name in the Hugging Face cache")
      .required_option("-o,--output", "DIR", options->output, "where the new model goes")
      .option(
          "--format", "NAME", options->format,
          fmt::format("{}; an error where a value would change", fmt::join(formats::writer_names(), ", ")))
      .flag("--dequantize", options->dequantize, "write plain weights")
      .option("--dtype", "TYPE", options->dtype,
              "of plain weights: float32, float16, bfloat16; default: the model's")
      .flag("--overwrite", options->overwrite, "replace an existing output once the new one is complete")
      .body([&app, options] { return run_convert(app, *options); });
}

}  // namespace farthing::cli
