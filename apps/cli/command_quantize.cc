// farthing quantize: plan, calibrate, quantize block by block, write, check, report.
#include <set>

#include <malloc.h>

#include "base/system.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/mixed_precision.h"
#include "cli/quantize_options.h"
#include "formats/dequantized.h"
#include "formats/weight_format.h"
#include "kernels/device.h"
#include "models/prompt.h"
#include "plan/footprint.h"
#include "plan/quantize_plan.h"
#include "quantize/finish.h"
#include "quantize/pipeline.h"
#include "quantize/several_formats.h"
#include "report/quantize_report.h"

namespace farthing::cli {
namespace {

// The family's declaration, or nothing for a model nobody declared: data-free methods need none.
std::optional<nn::ModelSpec> declare_if_known(const checkpoint::Checkpoint& checkpoint,
                                              const std::string& method, Reporter& reporter) {
  try {
    return models::declare(checkpoint);
  } catch (const Error& error) {
    if (error.code() != Code::kUnsupported || method.ends_with("gptq") || method.ends_with("gptaq")) throw;
    reporter.warn(
        fmt::format("{}: every 2-D weight that is not an embedding is rounded to nearest", error.what()));
    return std::nullopt;
  }
}

// A quantized source becomes a plain one, whose weights are dequantized as they are read. Returns how it is
// quantized; empty when it is not.
std::string see_as_plain(App& app, std::shared_ptr<const checkpoint::Checkpoint>& source) {
  std::shared_ptr<const nn::ModelSpec> spec;  // the view keeps it
  try {
    spec = std::make_shared<const nn::ModelSpec>(models::declare(*source));
  } catch (const Error& error) {
    if (error.code() != Code::kUnsupported) throw;
  }
  formats::OtherSpelling other;
  std::set<std::string> transposed;
  if (spec) {
    other = [spec](std::string_view name) { return models::canonical_name(*spec, name); };
    for (const models::ModuleInfo& module : models::linears_of(*spec)) {
      if (module.class_name == "Conv1D") transposed.insert(module.path);
    }
  }
  std::string method(formats::detect(*source, source->config(), other)->method());
  if (method == "none") return "";
  const auto is_transposed = [&](std::string_view module) {
    return spec && transposed.contains(models::canonical_name(*spec, module));
  };
  source = std::make_shared<const checkpoint::Checkpoint>(
      formats::dequantized(*source, other, is_transposed, app.threads()));
  return method;
}

std::string plan_line(const plan::QuantizePlan& plan, const plan::Footprint& footprint) {
  return fmt::format("plan         {}  {} blocks  {} linears  {} {}  peak {}  disk {}  {:.2f} bits/weight",
                     plan.model_name, plan.blocks.size(), plan.linears.size(), plan.scheme_name, plan.method,
                     format_bytes(footprint.peak_bytes), format_bytes(plan.bytes_out), plan.bits_per_weight);
}

Json plan_document(const plan::QuantizePlan& plan, const plan::Footprint& footprint) {
  Json document = {{"model", plan.model_name},
                   {"scheme", plan.scheme_name},
                   {"method", plan.method},
                   {"format", plan.format},
                   {"dry_run", true},
                   {"bits_per_weight", plan.bits_per_weight},
                   {"bytes_in", plan.bytes_in},
                   {"bytes_out", plan.bytes_out},
                   {"peak_host_bytes", footprint.peak_bytes},
                   {"ignored", plan.ignored},
                   {"notes", plan.notes},
                   {"recipe", quantize::recipe_text(plan)},
                   {"deviations", Json::array()},
                   {"layers", Json::array()}};
  for (const plan::LinearPlan& linear : plan.linears) {
    document["layers"].push_back({{"name", linear.module.path},
                                  {"method", plan::method_name(linear.method)},
                                  {"scheme", scheme::describe(linear.scheme)}});
  }
  for (const plan::Deviation& deviation : plan.deviations)
    document["deviations"].push_back({{"module", deviation.module}, {"what", deviation.what}});
  return document;
}

void require_memory(const QuantizeOptions& options, std::uint64_t needed) {
  if (!options.memory) return;
  const std::uint64_t budget = parse_bytes(*options.memory, memory_facts().total_bytes);
  FARTHING_REQUIRE(needed <= budget, Code::kResources, "the run does not fit the given memory",
                   {{"needed", format_bytes(needed)}, {"memory", format_bytes(budget)}},
                   "use fewer or shorter samples (--samples, --sequence-length), or --method rtn");
}

// The finished run and the further formats that were made of it.
void write_result(App& app, const plan::QuantizeResult& result,
                  std::span<const quantize::FurtherFormat> further) {
  if (!app.json()) {
    app.write(report::summary(result));
    for (const quantize::FurtherFormat& format : further)
      app.write(fmt::format("also as {} in {}\n", format.format, format.output.string()));
    return;
  }
  Json document = report::to_json(result);
  document["formats"] = Json::array({{{"format", result.format}, {"output", result.output}}});
  for (const quantize::FurtherFormat& format : further)
    document["formats"].push_back({{"format", format.result.to},
                                   {"output", format.output.string()},
                                   {"bytes_out", format.result.bytes_out}});
  app.write_json(document);
}

// What the linears of the decoder are instances of: Linear, but for GPT-2.
std::string class_of_linears(const std::optional<nn::ModelSpec>& spec) {
  if (spec)
    for (const models::ModuleInfo& linear : models::linears_of(*spec))
      if (linear.block >= 0) return linear.class_name;
  return "Linear";
}

int run_quantize(App& app, QuantizeOptions& options) {
  kernels::parse_device(app.device());
  Reporter& reporter = app.reporter();
  const std::filesystem::path directory = checkpoint::find_model(options.model);
  auto source = std::make_shared<const checkpoint::Checkpoint>(checkpoint::Checkpoint::open(directory));

  // Large matrices come and go here. The allocator would keep room for freed ones among small blocks: a
  // quarter of the peak. Fixing the size from which memory goes straight back keeps the peak at what the plan
  // says.
  ::mallopt(M_MMAP_THRESHOLD, 8 << 20);
  const plan::MixtureTarget target = mixture_target(options);
  if (const auto* mixture = gguf_mixture(options)) {
    FARTHING_REQUIRE(!target, Code::kInvalidArgument, "llama.cpp's mixtures of types have no target", {},
                     "choose one by its size, such as Q4_K_S, Q4_K_M or Q5_K_M: farthing quantize --help");
    return quantize_to_gguf(app, options, *mixture, source);
  }

  const std::string was_quantized = see_as_plain(app, source);
  const Json config = source->config();

  // Each of several formats gets a folder of its own inside the output.
  const std::vector<std::string> formats = options.format.find(',') != std::string::npos
                                               ? quantize::split_formats(options.format)
                                               : std::vector<std::string>{options.format};
  options.format = formats.front();
  const std::filesystem::path root = options.output;
  if (formats.size() > 1 && !root.empty()) options.output = root / formats.front();

  std::optional<plan::Recipe> recipe;
  if (options.recipe) {
    recipe = plan::read_recipe(*options.recipe);
    plan::apply_flags(*recipe, options.flags);
  }
  std::optional<nn::ModelSpec> spec =
      declare_if_known(*source, recipe ? "auto" : options.flags.method, reporter);
  if (options.flags.targets.empty()) options.flags.targets = {class_of_linears(spec)};
  if (!recipe) recipe = plan::recipe_from_flags(options.flags, spec.has_value());
  const plan::RecipeCalibration recipe_calibration = recipe->calibration;
  const std::string name = std::filesystem::weakly_canonical(directory).filename().string();
  const plan::PlanOptions plan_options{.format = options.format, .model_name = name};
  plan::QuantizePlan plan = plan::make_plan(*source, config, spec, *recipe, plan_options);
  FARTHING_REQUIRE(!target || plan.spec, Code::kUnsupported,
                   "what the linears of an unknown family cost cannot be measured", {},
                   "leave the target out, or describe the family: docs/declare.md");
  quantize::require_formats_hold(plan, std::span(formats).subspan(1));
  std::optional<calibrate::CalibrationSet> calibration;
  if (plan.needs_calibration || target) {
    const models::PromptProcessor prompts =
        models::PromptProcessor::open(directory, std::make_shared<const nn::ModelSpec>(*plan.spec));
    calibration = calibrate::build_calibration_set(calibration_options(options, recipe_calibration),
                                                   *plan.spec, prompts, reporter, app.cancel());
  }
  std::uint64_t measuring_bytes = 0;
  std::optional<MixedPrecision> mixed;
  if (target) {
    measuring_bytes = peak_of_measuring(plan, *calibration);
    if (target.divergence)  // the method's own walk goes on beside it
      measuring_bytes += plan::predict_footprint(plan, calibration->token_counts()).peak_bytes;
    require_memory(options, measuring_bytes);
    mixed = choose_mixture(app, plan, source, *calibration, target);
    plan = plan::make_plan(*source, config, spec, plan::with_mixture(*recipe, mixed->mixture, plan),
                           plan_options);
    quantize::require_formats_hold(plan, std::span(formats).subspan(1));
  }
  if (!was_quantized.empty())
    plan.deviations.push_back(
        {name,
         fmt::format("its weights are {} already and are dequantized first, one by one", was_quantized)});
  plan::Footprint footprint =
      plan::predict_footprint(plan, calibration ? calibration->token_counts() : std::vector<std::int64_t>{});
  footprint.peak_bytes = std::max(footprint.peak_bytes, measuring_bytes);
  reporter.note(plan_line(plan, footprint));
  if (mixed && !(options.dry_run && !app.json())) note_table(*mixed, reporter);
  if (!plan.reason.empty()) reporter.note("method       " + plan.reason);
  for (const std::string& note : plan.notes) reporter.note("transform    " + note);
  for (const plan::Deviation& deviation : plan.deviations)
    reporter.warn(fmt::format("{}: {}", deviation.module, deviation.what));
  require_memory(options, footprint.peak_bytes);
  if (options.dry_run) {
    if (app.json()) {
      Json document = plan_document(plan, footprint);
      if (mixed) document["mixture"] = document_of(*mixed);
      app.write_json(document);
    } else {
      app.write((mixed ? table_of(*mixed) : "") + "nothing was written: this was a dry run\n");
    }
    return options.strict && !plan.deviations.empty() ? kDoneWithDeviations : kDone;
  }
  FARTHING_REQUIRE(!options.output.empty(), Code::kInvalidArgument, "no output folder", {},
                   "add -o DIR, or --dry-run to see the plan only");

  const plan::QuantizeResult result =
      quantize::run(plan, source, calibration ? &*calibration : nullptr,
                    {.output = options.output,
                     .overwrite = options.overwrite,
                     .resume = options.resume,
                     .calibrates_all_experts = options.moe_calibrate_all,
                     .add_reports =
                         [&](plan::QuantizeResult& facts, const std::filesystem::path& folder) {
                           if (mixed) add_mixture(app, *mixed, plan, source, folder, facts);
                           write_reports(facts, options, directory, folder);
                         }},
                    app.threads(), reporter, app.cancel());
  std::vector<quantize::FurtherFormat> further;
  if (formats.size() > 1)
    further = quantize::write_further_formats(root, formats, plan.spec, options.overwrite, app.threads(),
                                              reporter, app.cancel());
  write_result(app, result, further);
  return options.strict && !result.deviations.empty() ? kDoneWithDeviations : kDone;
}

}  // namespace

void add_quantize(App& app) {
  auto options = std::make_shared<QuantizeOptions>();
  plan::RecipeFlags& flags = options->flags;
  flags.targets.clear();
  app.command("quantize", "make a model small, and write it for vLLM and transformers")
      .example("farthing quantize ./Llama-3.2-1B -o ./Llama-3.2-1B-W4A16")
      .example(
          "farthing quantize ./llava -o ./llava-W4A16 --calibration ./photos --question \"What is this?\" "
          "--samples 64")
      .example("farthing quantize ./model -o ./out --recipe recipe.yaml --strict")
      .example("farthing quantize ./Llama-3.2-1B -o ./Llama-3.2-1B-5bit --target-bits 5")
      .example("farthing quantize ./Llama-3.2-1B -o llama-Q4_K_M.gguf --scheme Q4_K_M --calibration builtin")
      .positional("MODEL", options->model, "model folder, or org/name in the Hugging Face cache")
      .option("-o,--output", "DIR", options->output,
              "where the new model goes; with .gguf at its end, that file")
      .group("what")
      .option("--scheme", "NAME", flags.scheme,
              "W4A16 (default), W8A16, W4A16_ASYM, W3A16 ...; for llama.cpp Q4_K_M, Q8_0, IQ4_XS, F16 ...")
      .option(
          "--method", "NAME", flags.method,
          "auto (default): gptq for 2 to 4-bit integers of a known family, rtn for the rest; gptq; rtn; or "
          "gptaq (gptq with --gptaq); awq or smoothquant before one of them: awq, smoothquant+gptq")
      .option("--recipe", "FILE", options->recipe,
              "llm-compressor recipe (YAML); the flags given beside it change its schemes")
      .option("--bits", "N", flags.bits, "bits of a code")
      .option("--group-size", "N", flags.group_size, "columns that share a scale; -1 is a whole row")
      .toggle("--symmetric", "--asymmetric", flags.symmetric, "zero point fixed, or chosen")
      .option("--actorder", "ORDER", flags.actorder,
              "none, group (dynamic), weight (static; the default of gptq)")
      .option("--observer", "NAME", flags.observer, "minmax or mse")
      .option("--dampening", "F", flags.dampening_frac,
              "share of the mean diagonal added to the Hessian (0.01)")
      .option("--block-size", "N", flags.block_size,
              "columns that gptq walks before it updates the rest (128)")
      .option("--refine", "N", flags.refine_passes,
              "after gptq, N passes that move single codes and scales while the error falls (0)")
      .flag("--gptaq", flags.gptaq,
            "gptq that also makes up for what the quantized layers before did to the inputs (GPTAQ)")
      .option("--gptaq-alpha", "F", flags.gptaq_alpha, "... by this share, 0 to 1 (0.25)")
      .option("--smoothing-strength", "F", flags.smoothing_strength,
              "how much of the outliers smoothquant moves into the weights, 0 to 1 (0.8)")
      .option(
          "--targets", "NAME", flags.targets,
          "module names, re:expressions or class names to quantize (Linear, or Conv1D in GPT-2); repeatable")
      .option("--ignore", "NAME", flags.ignore,
              "modules to leave alone, as --targets; default: what the family leaves alone; repeatable")
      .option("--sequential-targets", "NAME", flags.sequential_targets,
              "class after which inputs are taken anew: a layer class (default), a submodule class, Linear")
      .option("--format", "NAME", options->format,
              fmt::format("{}, gguf, or several with commas between; default: the first, bitsandbytes for "
                          "NF4, FP4 and LLM_INT8, or gguf for "
                          "llama.cpp's types; gptq becomes "
                          "gptq_v2 where weights are asymmetric",
                          fmt::join(formats::writer_names(), ", ")))
      .group("mixed precision: schemes by linear, from what each costs the model, to one target")
      .option("--target-bits", "F", options->target_bits,
              "mean bits of a weight that --scheme is for, scales included: with W4A16, some linears get "
              "W8A16 or stay as they are until this is reached from below")
      .option("--target-size", "SIZE", options->target_size,
              "the same by the size of the weight files, embeddings and all")
      .option(
          "--max-kl", "F", options->max_kl,
          "the smallest mixture whose divergence from the original (nats, on some calibration samples) is "
          "not above this")
      .group("calibration")
      .option("--calibration", "SPEC", options->calibration,
              "builtin (default), .txt, .jsonl, folder of pictures, text:\"...\", or a data set's name")
      .option("--samples", "N", options->samples, "calibration samples (128)")
      .option("--sequence-length", "N", options->sequence_length, "most tokens of a sample (2048)")
      .option("--question", "TEXT", options->question, "asked about each picture of a folder")
      .option("--system", "TEXT", options->system, "system message before that question")
      .option("--collator", "NAME", options->collator,
              "how records become prompts: general, or a family's own")
      .option("--seed", "N", options->seed, "draw samples at random; default: spread evenly")
      .flag("--moe-calibrate-all", options->moe_calibrate_all,
            "send every token through every expert, for calibration only")
      .group("how")
      .option("--memory", "SIZE", options->memory, "refuse before the work starts if more is needed")
      .flag("--dry-run", options->dry_run, "show the plan, write nothing")
      .flag("--strict", options->strict, "exit with 5 when anything deviated from the plan")
      .toggle("--resume", "--no-resume", options->resume,
              "go on after an interrupted run (default), or start over")
      .flag("--overwrite", options->overwrite, "replace an existing output once the new one is complete")
      .body([&app, options] { return run_quantize(app, *options); });
}

}  // namespace farthing::cli
