// farthing convert: the same weights in another format, or plain.
#include "base/units.h"
#include "cli/commands.h"
#include "formats/weight_format.h"
#include "models/config.h"
#include "models/family.h"
#include "models/tokenizer_files.h"
#include "plan/gguf_plan.h"
#include "quantize/convert.h"
#include "quantize/gguf_export.h"

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

std::optional<nn::ModelSpec> declare_if_known(const checkpoint::Checkpoint& checkpoint) {
  try {
    return models::declare(checkpoint);
  } catch (const Error& error) {
    if (error.code() != Code::kUnsupported) throw;
    return std::nullopt;
  }
}

// For llama.cpp: plain weights keep their type, quantized ones their codes.
quantize::ConvertResult convert_to_gguf(App& app, const ConvertOptions& options) {
  const std::filesystem::path path = checkpoint::find_model(options.model);
  const auto source = std::make_shared<const checkpoint::Checkpoint>(checkpoint::Checkpoint::open(path));
  const Json config = source->config();
  const plan::GgufPlan plan = plan::make_gguf_plan(*source, config, models::declare(models::Config(config)),
                                                   {.model_name = models::name_of(path)});
  for (const plan::Deviation& deviation : plan.deviations)
    app.reporter().warn(fmt::format("{}: {}", deviation.module, deviation.what));
  const plan::QuantizeResult written =
      quantize::export_gguf(plan, source, nullptr, {.output = options.output, .overwrite = options.overwrite},
                            app.threads(), app.reporter(), app.cancel());
  return {.from = std::string(formats::detect(*source, config)->method()),
          .to = "gguf",
          .layers = static_cast<std::int64_t>(written.layers.size()),
          .bytes_in = written.bytes_in,
          .bytes_out = written.bytes_out};
}

quantize::ConvertResult convert_folder(App& app, const ConvertOptions& options) {
  const auto source = checkpoint::Checkpoint::open(checkpoint::find_model(options.model));
  return quantize::convert(source, declare_if_known(source),
                           {.output = options.output,
                            .format = options.format,
                            .dtype = parse_dtype_flag(options.dtype),
                            .overwrite = options.overwrite},
                           app.threads(), app.reporter(), app.cancel());
}

int run_convert(App& app, const ConvertOptions& options) {
  FARTHING_REQUIRE(options.dequantize != !options.format.empty(), Code::kInvalidArgument,
                   "say what to convert to: a format or plain weights", {},
                   "use either --format NAME or --dequantize");
  FARTHING_REQUIRE(!options.dtype || options.dequantize, Code::kInvalidArgument,
                   "--dtype is for plain weights", {}, "add --dequantize, or leave it out");
  const quantize::ConvertResult result =
      options.format == "gguf" ? convert_to_gguf(app, options) : convert_folder(app, options);
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
      .example("farthing convert ./model-GPTQ -o model.gguf --format gguf")
      .positional("MODEL", options->model, "model folder, or org/name in the Hugging Face cache")
      .required_option("-o,--output", "DIR", options->output,
                       "where the new model goes; with .gguf at its end, that file")
      .option("--format", "NAME", options->format,
              fmt::format("{}, gguf; an error where a value would change",
                          fmt::join(formats::writer_names(), ", ")))
      .flag("--dequantize", options->dequantize, "write plain weights")
      .option("--dtype", "TYPE", options->dtype,
              "of plain weights: float32, float16, bfloat16; default: the model's")
      .flag("--overwrite", options->overwrite, "replace an existing output once the new one is complete")
      .body([&app, options] { return run_convert(app, *options); });
}

}  // namespace farthing::cli
