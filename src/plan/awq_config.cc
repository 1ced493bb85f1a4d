#include "plan/awq_config.h"

#include "base/error.h"
#include "formats/autoawq/config.h"
#include "plan/recipe_keys.h"

namespace farthing::plan {
namespace {

template <typename T>
T value_or(const Json& document, const char* key, T otherwise) {
  const auto found = document.find(key);
  return found == document.end() || found->is_null() ? otherwise : found->get<T>();
}

// A part of a module's name, as a pattern.
std::string containing(const std::string& part) {
  static constexpr std::string_view kSpecial = R"(\^$.|?*+()[]{})";
  std::string pattern = "re:.*";
  for (const char c : part) {
    if (kSpecial.find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern + ".*";
}

}  // namespace

bool is_awq_config(const Json& document) {
  if (!document.is_object() || document.contains("scheme")) return false;
  const auto method = document.find("quant_method");
  if (method != document.end() && method->is_string()) return *method == "awq";
  return document.contains("w_bit") || document.contains("q_group_size");
}

Recipe recipe_from_awq_config(const Json& document, const std::string& origin) {
  const formats::autoawq::Config config = formats::autoawq::parse_config(document);
  FARTHING_REQUIRE(config.version == formats::autoawq::Version::kGemm, Code::kUnsupported,
                   "AWQ weights are written for GEMM kernels",
                   {{"recipe", origin}, {"version", document.value("version", "")}},
                   "use version GEMM, which every loader of AWQ files takes");
  scheme::Scheme scheme = formats::autoawq::scheme_of(config);
  scheme.weights->symmetric = !value_or(document, "zero_point", true);
  Transform transform{.name = "AWQModifier", .kind = TransformKind::kAwq};
  transform.awq = {.autoawq_grid = true, .arithmetic = DType::kF16, .clip = true};
  transform.awq.duo =
      value_or(document, "duo_scaling", true) ? methods::DuoScaling::kOn : methods::DuoScaling::kOff;
  transform.awq.clip = value_or(document, "apply_clip", true);

  Modifier modifier{.name = "QuantizationModifier", .method = Method::kRtn, .family_ignore = true};
  modifier.groups.push_back({.name = "group_0", .targets = {"Linear"}, .scheme = std::move(scheme)});
  const auto skipped = document.find("modules_to_not_convert");
  if (skipped != document.end())
    for (const std::string& part : strings_of(*skipped, origin, "top level", "modules_to_not_convert"))
      modifier.ignore.push_back(containing(part));
  return {.origin = origin,
          .transforms = {std::move(transform)},
          .modifiers = {std::move(modifier)},
          .format = "awq"};
}

}  // namespace farthing::plan
