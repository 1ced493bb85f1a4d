#include "report/model_card.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/file.h"
#include "base/units.h"
#include "report/table.h"

namespace farthing::report {
namespace {

// A YAML string that needs no further thought about its characters.
std::string quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kAround = " \t\r\"'";
  const std::size_t begin = text.find_first_not_of(kAround);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kAround) - begin + 1);
}

std::string front_matter(const plan::QuantizeResult& result, const ModelCardFacts& facts) {
  std::string text =
      fmt::format("---\nbase_model: {}\nbase_model_relation: quantized\n", quoted(facts.base_model));
  if (!facts.license.empty()) text += fmt::format("license: {}\n", quoted(facts.license));
  return text + fmt::format("tags: [farthing, {}, {}]\n---\n", quoted(result.format), quoted(result.scheme));
}

std::string worst_layers(const plan::QuantizeResult& result) {
  constexpr std::size_t kShown = 5;
  std::vector<plan::LayerResult> order = result.layers;
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.relative_error > b.relative_error; });
  order.resize(std::min(kShown, order.size()));
  Table table({"layer", "method", "relative error", "SQNR, dB"});
  for (const plan::LayerResult& layer : order) {
    table.add({"`" + layer.name + "`", layer.method, fmt::format("{:.4f}", layer.relative_error),
               fmt::format("{:.1f}", layer.sqnr_db)});
  }
  return fmt::format("The {} layers with the largest error, of {}; all of them are in `report.html`.\n\n{}",
                     order.size(), result.layers.size(), table.markdown());
}

std::string mixture_section(const Json& mixture) {
  std::string text = fmt::format(
      "\n## Mixture\n\n{:.3f} bits per weight of the linears that the scheme is for. KL divergence from the "
      "original, in nats, on {} tokens: {:.3g}; `alone` is what one unit costs when only it is "
      "quantized.\n\n",
      mixture["bits_per_weight"].get<double>(), mixture["tokens"].get<std::int64_t>(),
      mixture["kl"].get<double>());
  Table table({"unit", "scheme", "bits", "alone"});
  for (const Json& unit : mixture["units"]) {
    table.add({"`" + unit["name"].get<std::string>() + "`", unit["scheme"].get<std::string>(),
               fmt::format("{:.2f}", unit["bits_per_weight"].get<double>()),
               fmt::format("{:.2e}", unit["kl"].get<double>())});
  }
  return text + table.markdown();
}

}  // namespace

std::string model_card(const plan::QuantizeResult& result, const ModelCardFacts& facts) {
  std::string text = front_matter(result, facts);
  text += fmt::format("\n# {} {}\n\n", result.model, result.scheme);
  text += fmt::format("`{}` quantized to {} with {}, in the {} format.\n\n", facts.base_model, result.scheme,
                      result.method, result.format);
  Table facts_table({"", ""});
  facts_table.add({"bits per weight",
                   fmt::format("{:.2f} (quantized linears, scales included)", result.bits_per_weight)});
  facts_table.add(
      {"size", fmt::format("{}, was {}", format_bytes(result.bytes_out), format_bytes(result.bytes_in))});
  facts_table.add({"quantized", fmt::format("{} linears; {} left as they were", result.layers.size(),
                                            result.ignored.size())});
  if (result.calibration_samples > 0) {
    facts_table.add(
        {"calibration", fmt::format("{} samples, {} tokens, from `{}`", result.calibration_samples,
                                    result.calibration_tokens, result.calibration.value("source", ""))});
  }
  facts_table.add({"SHA-256 of the weights", "`" + result.sha256 + "`"});
  text += facts_table.markdown();
  if (!result.layers.empty()) text += "\n## Error\n\n" + worst_layers(result);
  if (result.mixture.is_object()) text += mixture_section(result.mixture);
  text += "\n## Deviations\n\n";
  if (result.deviations.empty()) text += "None.\n";
  for (const auto& [module, what] : result.deviations) text += fmt::format("- `{}`: {}\n", module, what);
  text +=
      fmt::format("\n## Make it again\n\n```sh\n{}\n```\n\nThe recipe is in `recipe.yaml`.\n", facts.command);
  return text;
}

std::string license_of(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "README.md";
  if (!std::filesystem::is_regular_file(file)) return "";
  const std::string text = read_text(file);
  if (!text.starts_with("---")) return "";
  const std::string_view matter = std::string_view(text).substr(0, text.find("\n---", 3));
  constexpr std::string_view kKey = "\nlicense:";
  const std::size_t key = matter.find(kKey);
  if (key == std::string_view::npos) return "";
  const std::string_view value = matter.substr(key + kKey.size());
  return std::string(trimmed(value.substr(0, value.find('\n'))));
}

}  // namespace farthing::report
