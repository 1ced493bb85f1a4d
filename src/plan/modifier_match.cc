#include "plan/modifier_match.h"

#include <algorithm>

namespace farthing::plan {

std::vector<std::string> spellings(const nn::ModelSpec& spec, const std::string& canonical) {
  std::vector<std::string> result = {canonical};
  for (const nn::NameRule& rule : spec.names) {
    if (!canonical.starts_with(rule.to)) continue;
    std::string other = rule.from + canonical.substr(rule.to.size());
    // Only spellings that lead back here count: another rule may claim the name first.
    if (models::canonical_name(spec, other) != canonical) continue;
    if (std::find(result.begin(), result.end(), other) == result.end()) result.push_back(std::move(other));
  }
  return result;
}

scheme::ModuleNames names_of(const models::ModuleInfo& module, const std::optional<nn::ModelSpec>& spec) {
  return {.names = spec ? spellings(*spec, module.path) : std::vector<std::string>{module.path},
          .class_name = module.class_name};
}

CompiledModifier compile(const Modifier& modifier) {
  CompiledModifier compiled{.modifier = &modifier};
  for (const scheme::ConfigGroup& group : modifier.groups) compiled.groups.add(group.targets);
  for (const std::string& pattern : modifier.ignore) compiled.ignore.emplace_back(pattern);
  return compiled;
}

bool fits_any(const std::vector<scheme::Target>& targets, const scheme::ModuleNames& module) {
  return std::any_of(targets.begin(), targets.end(),
                     [&](const scheme::Target& target) { return target.match(module).has_value(); });
}

}  // namespace farthing::plan
