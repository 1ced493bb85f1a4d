// farthing estimate: memory, disk and time before any work.
#include <fmt/format.h>

#include "base/system.h"
#include "base/units.h"
#include "cli/commands.h"
#include "models/family.h"
#include "plan/estimate.h"

namespace farthing::cli {
namespace {

struct EstimateOptions {
  std::optional<std::string> model;
  plan::EstimateOptions estimate;
  std::int64_t parameters = 0;
  double bits = 16;
  std::uint64_t memory = 0;
};

plan::Estimate estimate_of(App& app, const EstimateOptions& options) {
  if (!options.model) {
    FARTHING_REQUIRE(options.parameters > 0, Code::kInvalidArgument, "MODEL is missing", {},
                     "usage: farthing estimate MODEL, or: farthing estimate --parameters 6B --bits 16");
    return plan::estimate_parameters(options.parameters, options.bits);
  }
  FARTHING_REQUIRE(options.parameters == 0, Code::kInvalidArgument, "both MODEL and --parameters given", {},
                   "give one of them");
  const auto checkpoint = checkpoint::Checkpoint::open(checkpoint::find_model(*options.model));
  std::optional<nn::ModelSpec> spec;
  try {
    spec = models::declare(checkpoint);
  } catch (const Error& error) {
    if (error.code() != Code::kUnsupported) throw;
    app.reporter().warn(fmt::format("{}: only sizes on disk can be told", error.what()));
  }
  return plan::estimate_model(checkpoint, spec, options.estimate, app.threads());
}

template <typename T>
Json number_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json document_of(const plan::Estimate& estimate, std::uint64_t memory) {
  return {{"weights_bytes", estimate.weights_bytes},
          {"context", estimate.context},
          {"kv_cache_bytes", number_or_null(estimate.kv_cache_bytes)},
          {"activations_bytes", number_or_null(estimate.activations_bytes)},
          {"run_peak_bytes", estimate.run_peak_bytes},
          {"quantize_scheme", estimate.quantize_scheme},
          {"quantize_peak_bytes", number_or_null(estimate.quantize_peak_bytes)},
          {"quantize_seconds", number_or_null(estimate.quantize_seconds)},
          {"output_bytes", number_or_null(estimate.output_bytes)},
          {"memory_bytes", memory},
          {"fits", estimate.run_peak_bytes <= memory},
          {"quantize_fits",
           estimate.quantize_peak_bytes ? Json(*estimate.quantize_peak_bytes <= memory) : Json()},
          {"largest_context", number_or_null(estimate.largest_context(memory))}};
}

std::string answer_text(const plan::Estimate& estimate, std::uint64_t memory) {
  std::string text;
  const auto row = [&](std::string_view key, const std::string& value) {
    text += fmt::format("{:<14}{}\n", key, value);
  };
  const auto fits = [&](std::uint64_t bytes) { return bytes <= memory ? "fits" : "does not fit"; };
  row("weights", format_bytes(estimate.weights_bytes));
  if (estimate.kv_cache_bytes) {
    row("KV cache",
        fmt::format("{} for {} tokens", format_bytes(*estimate.kv_cache_bytes), estimate.context));
    row("activations",
        fmt::format("{} for a prompt of that length", format_bytes(*estimate.activations_bytes)));
  }
  row("run", fmt::format("{} at the peak: {} {}", format_bytes(estimate.run_peak_bytes),
                         fits(estimate.run_peak_bytes), format_bytes(memory)));
  if (const auto context = estimate.largest_context(memory))
    row("context", fmt::format("{} tokens at most in {}", *context, format_bytes(memory)));
  if (estimate.quantize_peak_bytes) {
    row("quantize",
        fmt::format("{}: {} at the peak ({}), about {}, {} on disk", estimate.quantize_scheme,
                    format_bytes(*estimate.quantize_peak_bytes), fits(*estimate.quantize_peak_bytes),
                    format_duration(*estimate.quantize_seconds), format_bytes(*estimate.output_bytes)));
  }
  return text;
}

int estimate(App& app, const EstimateOptions& options) {
  const plan::Estimate result = estimate_of(app, options);
  const std::uint64_t memory = options.memory > 0 ? options.memory : memory_facts().available_bytes;
  if (app.json()) {
    app.write_json(document_of(result, memory));
  } else {
    app.write(answer_text(result, memory));
  }
  return kDone;
}

}  // namespace

void add_estimate(App& app) {
  const auto options = std::make_shared<EstimateOptions>();
  app.command("estimate", "memory, disk and time before any work")
      .example("farthing estimate models/tiny-llava-21m")
      .example("farthing estimate ./Llama-3.2-1B --scheme W4A16 --context 32K --memory 8GiB")
      .example("farthing estimate ./Llama-3.2-1B --method gptq --samples 32 --sequence-length 512")
      .example("farthing estimate --parameters 6B --bits 16")
      .positional("MODEL", options->model, "model folder, or org/name in the Hugging Face cache",
                  Command::Presence::kOptional)
      .option("--scheme", "NAME", options->estimate.scheme, "as if quantized so: W4A16, W8A16 ...")
      .option("--method", "NAME", options->estimate.method, "of quantizing: auto (default), gptq, rtn ...")
      .flag("--gptaq", options->estimate.gptaq, "of quantizing: gptq beside the original model")
      .option("--samples", "N", options->estimate.samples, "calibration samples (128)")
      .option("--sequence-length", "N", options->estimate.sequence_length,
              "tokens of every sample; without it, the built-in set's")
      .option("--context", "N", options->estimate.context,
              "tokens of prompt and answer (the model's own, at most 4096)")
      .option("--memory", "SIZE", read_bytes(options->memory, memory_facts().total_bytes),
              "what there is, such as 20GiB or 50% (what is free now)")
      .option(
          "--parameters", "N",
          [options](const std::string& text) { options->parameters = parse_parameters(text); },
          "without a model: its parameters, such as 6B")
      .option("--bits", "N", options->bits, "without a model: bits of a weight (16)")
      .body([&app, options] { return estimate(app, *options); });
}

}  // namespace farthing::cli
