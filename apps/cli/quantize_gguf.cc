// farthing quantize, for llama.cpp.
#include "base/error.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/quantize_options.h"
#include "models/family.h"
#include "models/prompt.h"
#include "models/tokenizer_files.h"
#include "plan/gguf_plan.h"
#include "quantize/gguf_export.h"
#include "report/quantize_report.h"

namespace farthing::cli {
namespace {

constexpr std::string_view kDefaultMixture = "Q4_K_M";

Json plan_document(const plan::GgufPlan& plan) {
  Json document = {{"model", plan.model_name},
                   {"scheme", plan.scheme_name},
                   {"method", plan.needs_calibration ? "imatrix" : "rtn"},
                   {"format", "gguf"},
                   {"dry_run", true},
                   {"bits_per_weight", plan.bits_per_weight},
                   {"bytes_in", plan.bytes_in},
                   {"bytes_out", plan.bytes_out},
                   {"ignored", plan.ignored},
                   {"deviations", Json::array()},
                   {"layers", Json::array()}};
  for (const plan::GgufTensor& tensor : plan.tensors)
    document["layers"].push_back(
        {{"name", tensor.name}, {"scheme", checkpoint::gguf::type_name(tensor.type)}});
  for (const plan::Deviation& deviation : plan.deviations)
    document["deviations"].push_back({{"module", deviation.module}, {"what", deviation.what}});
  return document;
}

void refuse_flags_without_meaning(const QuantizeOptions& options) {
  const plan::RecipeFlags& flags = options.flags;
  const auto refuse = [](bool given, const char* flag) {
    FARTHING_REQUIRE(!given, Code::kInvalidArgument, "the flag has no meaning for GGUF's types",
                     {{"flag", flag}}, "leave it out; the type decides bits, groups and scales");
  };
  refuse(options.recipe.has_value(), "--recipe");
  refuse(flags.bits.has_value(), "--bits");
  refuse(flags.group_size.has_value(), "--group-size");
  refuse(flags.symmetric.has_value(), "--symmetric");
  refuse(flags.actorder.has_value(), "--actorder");
  refuse(flags.method != "auto" && flags.method != "rtn", "--method");
}

}  // namespace

const formats::gguf::Mixture* gguf_mixture(const QuantizeOptions& options) {
  const bool wants_gguf =
      options.format == "gguf" || (options.format.empty() && options.output.extension() == ".gguf");
  if (!options.flags.scheme) return wants_gguf ? formats::gguf::find_mixture(kDefaultMixture) : nullptr;
  const std::string& scheme = *options.flags.scheme;
  const formats::gguf::Mixture* named = formats::gguf::find_mixture(scheme);
  FARTHING_REQUIRE(named == nullptr || options.format.empty() || options.format == "gguf",
                   Code::kInvalidArgument, "the scheme is one of llama.cpp's",
                   {{"scheme", scheme}, {"format", options.format}}, "use --format gguf");
  std::vector<std::string_view> names;
  for (const formats::gguf::Mixture& mixture : formats::gguf::mixtures()) names.push_back(mixture.name);
  FARTHING_REQUIRE(named != nullptr || !wants_gguf, Code::kInvalidArgument, "llama.cpp has no such type",
                   {{"scheme", scheme}}, fmt::format("use one of {}", fmt::join(names, ", ")));
  return named;
}

int quantize_to_gguf(App& app, const QuantizeOptions& options, const formats::gguf::Mixture& mixture,
                     const std::shared_ptr<const checkpoint::Checkpoint>& source) {
  refuse_flags_without_meaning(options);
  Reporter& reporter = app.reporter();
  const std::filesystem::path path = checkpoint::find_model(options.model);
  const Json config = source->config();
  const nn::ModelSpec spec = models::declare(models::Config(config));
  const bool weighs = options.calibration.has_value() && options.flags.method != "rtn";
  const plan::GgufPlan plan = plan::make_gguf_plan(*source, config, spec,
                                                   {.mixture = &mixture,
                                                    .model_name = models::name_of(path),
                                                    .ignore = options.flags.ignore,
                                                    .weigh_columns = weighs});
  reporter.note(fmt::format("plan         {}  {} tensors  {} {}  disk {}  {:.2f} bits/weight",
                            plan.model_name, plan.tensors.size(), plan.scheme_name,
                            weighs ? "imatrix" : "rtn", format_bytes(plan.bytes_out), plan.bits_per_weight));
  for (const plan::Deviation& deviation : plan.deviations)
    reporter.warn(fmt::format("{}: {}", deviation.module, deviation.what));
  if (options.dry_run) {
    if (app.json())
      app.write_json(plan_document(plan));
    else
      app.write("nothing was written: this was a dry run\n");
    return options.strict && !plan.deviations.empty() ? kDoneWithDeviations : kDone;
  }
  FARTHING_REQUIRE(!options.output.empty(), Code::kInvalidArgument, "no output", {},
                   "add -o FILE.gguf or -o DIR, or --dry-run to see the plan only");
  std::optional<calibrate::CalibrationSet> calibration;
  if (weighs) {
    const auto prompts = models::PromptProcessor::open(path, std::make_shared<const nn::ModelSpec>(spec));
    calibration = calibrate::build_calibration_set(calibration_options(options, {}), spec, prompts, reporter,
                                                   app.cancel());
  }
  const plan::QuantizeResult result =
      quantize::export_gguf(plan, source, calibration ? &*calibration : nullptr,
                            {.output = options.output,
                             .overwrite = options.overwrite,
                             .resume = options.resume,
                             .add_reports =
                                 [&](const plan::QuantizeResult& facts, const std::filesystem::path& folder) {
                                   write_reports(facts, options, source->directory(), folder);
                                 }},
                            app.threads(), reporter, app.cancel());
  if (app.json())
    app.write_json(report::to_json(result));
  else
    app.write(report::summary(result));
  return options.strict && !result.deviations.empty() ? kDoneWithDeviations : kDone;
}

}  // namespace farthing::cli
