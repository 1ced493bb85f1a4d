#include "plan/gptq_config.h"

#include "base/error.h"
#include "formats/gptq/config.h"
#include "methods/gptq.h"

namespace farthing::plan {
namespace {

bool flag(const Json& document, const char* key, bool otherwise) {
  const auto found = document.find(key);
  return found == document.end() || found->is_null() ? otherwise : found->get<bool>();
}

scheme::ActivationOrder order_of(const Json& document) {
  if (!flag(document, "desc_act", false)) return scheme::ActivationOrder::kNone;
  return flag(document, "static_groups", false) ? scheme::ActivationOrder::kWeight
                                                : scheme::ActivationOrder::kGroup;
}

// GPTQModel writes {"alpha": 0.25}, or true for that.
double gptaq_alpha_of(const Json& document) {
  const auto gptaq = document.find("gptaq");
  if (gptaq == document.end() || !gptaq->is_object())
    return flag(document, "gptaq", false) ? methods::kGptaqAlpha : 0.0;
  const double alpha = gptaq->value("alpha", methods::kGptaqAlpha);
  FARTHING_REQUIRE(alpha >= 0 && alpha <= 1, Code::kInvalidArgument,
                   "the share that GPTAQ makes up for should be from 0 to 1", {{"gptaq.alpha", alpha}});
  return alpha;
}

// GPTQModel's "mse" is the norm of a search for the range; 0 is none.
void set_range_search(const Json& document, scheme::QuantizationArgs& weights) {
  const auto norm = document.find("mse");
  if (norm == document.end() || norm->is_null() || !(norm->get<double>() > 0)) return;
  weights.observer = "mse";
  weights.observer_kwargs = {{"norm", *norm}, {"maxshrink", 0.8}, {"grid", 100.0}, {"patience", 100}};
}

GptqSettings settings_of(const Json& document) {
  GptqSettings settings{.actorder = order_of(document)};
  if (const auto damp = document.find("damp_percent"); damp != document.end() && !damp->is_null()) {
    settings.dampening_frac = damp->get<double>();
    FARTHING_REQUIRE(settings.dampening_frac >= 0 && settings.dampening_frac < 1, Code::kInvalidArgument,
                     "damp_percent should be from 0 to below 1", {{"damp_percent", settings.dampening_frac}});
  }
  settings.gptaq_alpha = gptaq_alpha_of(document);
  settings.group_aware_order =
      settings.actorder == scheme::ActivationOrder::kNone && flag(document, "act_group_aware", false);
  settings.refresh_scales = !flag(document, "static_groups", false) && !settings.group_aware_order;
  return settings;
}

// [["self_attn.q_proj", ...], ["mlp.down_proj"]]: names inside a block.
std::vector<std::string> targets_of(const Json& document) {
  const auto modules = document.find("modules_in_block_to_quantize");
  if (modules == document.end() || modules->is_null()) return {"Linear"};
  std::vector<std::string> targets;
  for (const Json& together : *modules) {
    for (const Json& name : together) targets.push_back("re:.*\\." + name.get<std::string>() + "$");
  }
  return targets;
}

// A data set's name, or texts.
std::optional<std::string> source_of(const Json& document) {
  const auto dataset = document.find("dataset");
  if (dataset == document.end() || dataset->is_null()) return {};
  if (dataset->is_string()) return dataset->get<std::string>();
  return fmt::format("text:{}", fmt::join(dataset->get<std::vector<std::string>>(), "\n\n"));
}

}  // namespace

bool is_gptq_config(const Json& document) {
  return document.is_object() && (document.contains("bits") || document.contains("w_bit")) &&
         !document.contains("scheme");
}

Recipe recipe_from_gptq_config(const Json& document, const std::string& origin) {
  const formats::gptq::Config config = formats::gptq::parse_config(document);
  Modifier modifier{.name = "GPTQModifier", .method = Method::kGptq, .gptq = settings_of(document)};
  modifier.groups.push_back({.name = "group_0",
                             .targets = targets_of(document),
                             .scheme = formats::gptq::scheme_of(config.settings)});
  for (const formats::gptq::Override& entry : config.overrides) {
    if (!entry.settings.quantized) {
      modifier.ignore.push_back(entry.target.pattern());
      continue;
    }
    modifier.groups.push_back({.name = fmt::format("group_{}", modifier.groups.size()),
                               .targets = {entry.target.pattern()},
                               .scheme = formats::gptq::scheme_of(entry.settings)});
  }
  for (scheme::ConfigGroup& group : modifier.groups) set_range_search(document, *group.scheme.weights);
  modifier.family_ignore = !flag(document, "lm_head", false);
  if (flag(document, "true_sequential", true)) modifier.sequential_targets = {"Linear"};
  Recipe recipe{.origin = origin,
                .modifiers = {std::move(modifier)},
                .format = config.version == formats::gptq::Version::kV2 ? "gptq_v2" : "gptq"};
  recipe.calibration.source = source_of(document);
  if (const auto length = document.find("model_seqlen"); length != document.end() && !length->is_null())
    recipe.calibration.length = length->get<std::int64_t>();
  return recipe;
}

}  // namespace farthing::plan
