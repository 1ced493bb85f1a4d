#include "report/quantize_report.h"

#include <algorithm>
#include <map>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/units.h"

namespace farthing::report {

Json to_json(const plan::QuantizeResult& result) {
  Json document = {{"model", result.model},
                   {"scheme", result.scheme},
                   {"method", result.method},
                   {"format", result.format},
                   {"bits_per_weight", result.bits_per_weight},
                   {"bytes_in", result.bytes_in},
                   {"bytes_out", result.bytes_out},
                   {"seconds", result.seconds},
                   {"peak_host_bytes", result.peak_host_bytes},
                   {"peak_device_bytes", result.peak_device_bytes}};
  document["calibration"] = result.calibration.is_object() ? result.calibration : Json::object();
  document["calibration"]["samples"] = result.calibration_samples;
  document["calibration"]["tokens"] = result.calibration_tokens;
  document["layers"] = Json::array();
  for (const plan::LayerResult& layer : result.layers) {
    document["layers"].push_back({{"name", layer.name},
                                  {"method", layer.method},
                                  {"scheme", layer.scheme},
                                  {"mse", layer.mse},
                                  {"relative_error", layer.relative_error},
                                  {"sqnr_db", layer.sqnr_db},
                                  {"dampening", layer.dampening},
                                  {"seconds", layer.seconds}});
  }
  document["folds"] = Json::array();
  for (const plan::FoldResult& fold : result.folds) document["folds"].push_back(fold.to_json());
  document["ignored"] = result.ignored;
  document["deviations"] = Json::array();
  for (const auto& [module, what] : result.deviations)
    document["deviations"].push_back({{"module", module}, {"what", what}});
  document["output"] = result.output;
  document["sha256"] = result.sha256;
  document["resumed_blocks"] = result.resumed_blocks;
  if (result.mixture.is_object()) document["mixture"] = result.mixture;
  return document;
}

std::vector<std::string> experts_without_token(const plan::QuantizeResult& result) {
  std::vector<std::string> names;
  for (const plan::ExpertTokens& experts : result.experts)
    for (std::size_t e = 0; e < experts.tokens.size(); ++e)
      if (experts.tokens[e] == 0) names.push_back(fmt::format("{}.{}", experts.path, e));
  return names;
}

namespace {

std::string experts_line(const plan::QuantizeResult& result) {
  constexpr std::size_t kShown = 4;
  std::size_t count = 0;
  for (const plan::ExpertTokens& experts : result.experts) count += experts.tokens.size();
  const std::vector<std::string> idle = experts_without_token(result);
  if (idle.empty()) return fmt::format("  experts      each of {} was sent tokens\n", count);
  const std::span<const std::string> shown(idle.data(), std::min(kShown, idle.size()));
  return fmt::format("  experts      {} of {} were sent no token: {}{} (--moe-calibrate-all)\n", idle.size(),
                     count, fmt::join(shown, ", "), idle.size() > kShown ? ", ..." : "");
}

// "  mixture      20 units W4A16, 12 W8A16; 5.000 bits/weight; KL 0.0021 on 512 tokens"
std::string mixture_line(const Json& mixture) {
  std::map<std::string, int> counts;
  for (const Json& unit : mixture["units"]) ++counts[unit["scheme"].get<std::string>()];
  std::vector<std::string> parts;
  for (const auto& [scheme, count] : counts) parts.push_back(fmt::format("{} {}", count, scheme));
  return fmt::format("  mixture      units: {}; {:.3f} bits/weight; KL {:.3g} on {} tokens\n",
                     fmt::join(parts, ", "), mixture["bits_per_weight"].get<double>(),
                     mixture["kl"].get<double>(), mixture["tokens"].get<std::int64_t>());
}

}  // namespace

std::string summary(const plan::QuantizeResult& result) {
  std::string text = fmt::format("{} -> {} ({})   {:.2f} bits/weight, {} (was {})\n", result.model,
                                 result.scheme, result.method, result.bits_per_weight,
                                 format_bytes(result.bytes_out), format_bytes(result.bytes_in));
  text += fmt::format("  quantized    {} linears; left as they are: {} linears, embeddings, norms\n",
                      result.layers.size(), result.ignored.size());
  if (result.calibration_samples > 0)
    text += fmt::format("  calibration  {} samples, {} tokens\n", result.calibration_samples,
                        result.calibration_tokens);
  if (!result.experts.empty()) text += experts_line(result);
  if (result.mixture.is_object()) text += mixture_line(result.mixture);
  if (!result.layers.empty()) {
    const auto worst =
        std::max_element(result.layers.begin(), result.layers.end(),
                         [](const auto& a, const auto& b) { return a.relative_error < b.relative_error; });
    text += fmt::format("  worst layer  {}  err {:.4f}  sqnr {:.1f} dB\n", worst->name, worst->relative_error,
                        worst->sqnr_db);
  }
  text += fmt::format("  deviations   {}\n",
                      result.deviations.empty() ? "none" : fmt::to_string(result.deviations.size()));
  for (const auto& [module, what] : result.deviations)
    text += fmt::format("               {}: {}\n", module, what);
  text += fmt::format("  took         {}, peak memory {}\n", format_duration(result.seconds),
                      format_bytes(result.peak_host_bytes));
  text += fmt::format("  sha256       {}\n", result.sha256);
  return text +
         fmt::format("next: farthing run {0} \"...\"      farthing eval {0} --base ...\n", result.output);
}

}  // namespace farthing::report
