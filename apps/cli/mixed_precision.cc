#include "cli/mixed_precision.h"

#include <algorithm>

#include "base/units.h"
#include "evaluate/sensitivity.h"
#include "methods/rtn.h"
#include "plan/footprint.h"
#include "quantize/trial_quantizer.h"
#include "report/table.h"

namespace farthing::cli {
namespace {

using evaluate::SchemesByLinear;

// Tokens that divergences are measured on: enough to tell the units apart, few enough to be done in the time
// of some blocks of GPTQ.
constexpr std::int64_t kTokens = 512;

using SchemesOfLinear = std::map<std::string, std::vector<std::optional<scheme::Scheme>>>;

SchemesOfLinear schemes_of(const plan::QuantizePlan& smallest) {
  SchemesOfLinear schemes;
  for (const plan::LinearPlan& linear : smallest.linears)
    schemes.emplace(linear.module.path, plan::schemes_beside(linear.scheme, smallest.format));
  return schemes;
}

// Every way of a unit but that of staying as it is, which costs nothing.
evaluate::SensitivityTrial trial_of(const plan::MixtureUnit& unit, const SchemesOfLinear& schemes) {
  evaluate::SensitivityTrial trial(unit.choices.size() - 1);
  for (const std::string& path : unit.modules)
    for (std::size_t c = 0; c < trial.size(); ++c) trial[c].emplace(path, *schemes.at(path)[c]);
  return trial;
}

SchemesByLinear chosen_schemes(const plan::Mixture& mixture, const SchemesOfLinear& schemes) {
  SchemesByLinear chosen;
  for (const plan::MixtureUnit& unit : mixture.units)
    for (const std::string& path : unit.modules)
      if (const auto& scheme = schemes.at(path)[unit.chosen]) chosen.emplace(path, *scheme);
  return chosen;
}

models::Model open_source(const std::shared_ptr<const checkpoint::Checkpoint>& source,
                          const plan::QuantizePlan& plan) {
  return models::Model(*plan.spec, std::make_shared<models::CheckpointSource>(source, *plan.spec));
}

std::int64_t tokens_of(std::span<const calibrate::Sample> samples) {
  std::int64_t tokens = 0;
  for (const calibrate::Sample& sample : samples) tokens += std::ssize(sample.prompt.ids);
  return tokens;
}

}  // namespace

plan::MixtureTarget mixture_target(const QuantizeOptions& options) {
  plan::MixtureTarget target{.bits = options.target_bits, .bytes = {}, .divergence = options.max_kl};
  if (options.target_size) target.bytes = parse_bytes(*options.target_size);
  const int given = int{target.bits.has_value()} + target.bytes.has_value() + target.divergence.has_value();
  FARTHING_REQUIRE(given <= 1, Code::kInvalidArgument, "a mixture has one target", {},
                   "give one of --target-bits, --target-size and --max-kl");
  FARTHING_REQUIRE(!target.bits || *target.bits > 0, Code::kInvalidArgument,
                   "--target-bits should be above 0", {{"target-bits", target.bits.value_or(0)}});
  FARTHING_REQUIRE(!target.divergence || *target.divergence > 0, Code::kInvalidArgument,
                   "--max-kl should be above 0", {{"max-kl", target.divergence.value_or(0)}});
  return target;
}

std::uint64_t peak_of_measuring(const plan::QuantizePlan& smallest,
                                const calibrate::CalibrationSet& samples) {
  const std::int64_t tokens = tokens_of(evaluate::samples_of(samples, kTokens));
  const std::size_t trials = plan::mixture_of(smallest).units.size();
  return plan::measuring_bytes(smallest, tokens,
                               std::min(trials, evaluate::trials_at_once(*smallest.spec, tokens)));
}

MixedPrecision choose_mixture(App& app, const plan::QuantizePlan& smallest,
                              const std::shared_ptr<const checkpoint::Checkpoint>& source,
                              const calibrate::CalibrationSet& samples, const plan::MixtureTarget& target) {
  MixedPrecision mixed{.target = target,
                       .mixture = plan::mixture_of(smallest),
                       .samples = evaluate::samples_of(samples, kTokens)};
  mixed.tokens = tokens_of(mixed.samples);
  plan::Mixture& mixture = mixed.mixture;
  const SchemesOfLinear schemes = schemes_of(smallest);
  models::Model model = open_source(source, smallest);
  std::vector<evaluate::SensitivityTrial> trials;
  for (const plan::MixtureUnit& unit : mixture.units) trials.push_back(trial_of(unit, schemes));
  quantize::TrialQuantizer quantizer(smallest, source, samples, app.threads(), app.reporter(), app.cancel());
  // To rank units, rounding is enough and depends on no samples; to keep a divergence, it has to be that of
  // the method.
  const evaluate::QuantizeLinear quantize = [&](const std::string& path, const scheme::Scheme& scheme,
                                                const Tensor& weight) {
    if (target.divergence) return quantizer.quantize(path, scheme, weight);
    return methods::rtn(weight, *scheme.weights, {.model_dtype = weight.dtype()}, app.threads());
  };
  const auto divergences = evaluate::measure_sensitivities(model, mixed.samples, trials, quantize,
                                                           app.threads(), app.reporter(), app.cancel());
  for (std::size_t u = 0; u < trials.size(); ++u)
    for (std::size_t c = 0; c < divergences[u].size(); ++c)
      mixture.units[u].choices[c].divergence = divergences[u][c];

  const auto measure = [&](const plan::Mixture& candidate) {
    return evaluate::measure_together(model, mixed.samples, chosen_schemes(candidate, schemes), quantize,
                                      app.threads(), app.reporter(), app.cancel());
  };
  // What units cost together is not quite their sum: it is measured, and the choice made anew with their
  // ratio until the target holds.
  double together = 1;
  for (;;) {
    plan::choose(mixture, target, together);
    if (!target.divergence) return mixed;
    mixed.together = measure(mixture);
    const double ratio = *mixed.together / std::max(mixture.divergence(), 1e-12);
    if (*mixed.together > *target.divergence) {
      together = std::max(1.1 * together, ratio);
      continue;
    }
    plan::Mixture smaller = mixture;
    plan::choose(smaller, target, std::min(ratio, together));
    if (smaller.bytes() < mixture.bytes()) {
      const double divergence = measure(smaller);
      if (divergence <= *target.divergence) {
        mixture = std::move(smaller);
        mixed.together = divergence;
      }
    }
    return mixed;
  }
}

void add_mixture(App& app, const MixedPrecision& mixed, const plan::QuantizePlan& plan,
                 const std::shared_ptr<const checkpoint::Checkpoint>& source,
                 const std::filesystem::path& folder, plan::QuantizeResult& facts) {
  models::Model original = open_source(source, plan), made = models::Model::open(folder);
  const double divergence =
      evaluate::measure_models(original, made, mixed.samples, app.threads(), app.cancel());
  facts.mixture = document_of(mixed);
  facts.mixture["kl"] = divergence;
  if (mixed.target.divergence && divergence > *mixed.target.divergence) {
    facts.deviations.emplace_back(plan.model_name,
                                  fmt::format("its divergence is {:.3g}, above the {:.3g} that was asked for",
                                              divergence, *mixed.target.divergence));
  }
}

void note_table(const MixedPrecision& mixed, Reporter& reporter) {
  const std::string table = table_of(mixed);
  for (std::size_t begin = 0; begin < table.size();) {
    const std::size_t end = table.find('\n', begin);
    reporter.note(std::string_view(table).substr(begin, end - begin));
    begin = end + 1;
  }
}

std::string table_of(const MixedPrecision& mixed) {
  const plan::Mixture& mixture = mixed.mixture;
  report::Table table({"unit", "weights", "scheme", "bits", "KL alone",
                       "at " + mixture.units.front().choices.front().scheme});
  for (const plan::MixtureUnit& unit : mixture.units) {
    table.add({unit.name, format_count(unit.parameters), unit.choice().scheme,
               fmt::format("{:.2f}", unit.bits_per_weight()), fmt::format("{:.2e}", unit.choice().divergence),
               fmt::format("{:.2e}", unit.choices.front().divergence)});
  }
  const std::string together = mixed.together ? fmt::format(", {:.3g} together", *mixed.together) : "";
  return fmt::format("mixture      {:.3f} bits/weight, {}; KL {:.3g} as the sum of units{} ({} tokens)\n{}",
                     mixture.bits_per_weight(), format_bytes(mixture.bytes()), mixture.divergence(), together,
                     mixed.tokens, table.markdown());
}

Json document_of(const MixedPrecision& mixed) {
  Json document = plan::to_json(mixed.mixture);
  document["target"] = Json::object();
  if (mixed.target.bits) document["target"]["bits"] = *mixed.target.bits;
  if (mixed.target.bytes) document["target"]["bytes"] = *mixed.target.bytes;
  if (mixed.target.divergence) document["target"]["kl"] = *mixed.target.divergence;
  document["tokens"] = mixed.tokens;
  if (mixed.together) document["kl_together"] = *mixed.together;
  return document;
}

}  // namespace farthing::cli
