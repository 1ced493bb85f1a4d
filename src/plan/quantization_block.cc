#include "plan/quantization_block.h"

#include <algorithm>
#include <map>
#include <set>

#include "plan/modifier_match.h"

namespace farthing::plan {
namespace {

// config_groups: the recipe's own groups keep their targets as long as every member kept its scheme;
// linears whose scheme was changed get a group that names them.
void fill_groups(QuantizePlan& plan) {
  std::vector<std::pair<scheme::Scheme, std::vector<std::string>>> groups;
  const auto group_for = [&](const scheme::Scheme& scheme) -> std::vector<std::string>& {
    for (auto& [known, targets] : groups) {
      if (known == scheme) return targets;
    }
    return groups.emplace_back(scheme, std::vector<std::string>{}).second;
  };
  const auto add = [](std::vector<std::string>& targets, const std::string& name) {
    if (std::find(targets.begin(), targets.end(), name) == targets.end()) targets.push_back(name);
  };
  std::vector<CompiledModifier> modifiers;
  for (const Modifier& modifier : plan.recipe.modifiers) modifiers.push_back(compile(modifier));
  std::map<std::pair<std::size_t, std::size_t>, scheme::Scheme> scheme_of_group;  // of its first member
  for (const LinearPlan& linear : plan.linears) {
    const scheme::ModuleNames names = names_of(linear.module, plan.spec);
    for (std::size_t m = 0; m < modifiers.size(); ++m) {
      const auto group = modifiers[m].groups.find(names);
      if (!group || fits_any(modifiers[m].ignore, names)) continue;
      const auto& first = scheme_of_group.try_emplace({m, *group}, linear.scheme).first->second;
      std::vector<std::string>& targets = group_for(linear.scheme);
      if (first == linear.scheme) {
        for (const std::string& target : modifiers[m].modifier->groups[*group].targets) add(targets, target);
      } else {
        for (const std::string& name : names.names) add(targets, name);
      }
      break;
    }
  }
  for (auto& [scheme, targets] : groups) {
    plan.quantization.groups.push_back({.name = fmt::format("group_{}", plan.quantization.groups.size()),
                                        .targets = targets,
                                        .scheme = scheme});
  }
}

// A pattern of the user stays when it means the same in every spelling; the rest is named explicitly, in
// all spellings, because loaders disagree about which one `ignore` is in.
void fill_ignore(QuantizePlan& plan) {
  std::set<std::string> covered;
  const auto add = [&](const std::string& entry) {
    auto& list = plan.quantization.ignore;
    if (std::find(list.begin(), list.end(), entry) == list.end()) list.push_back(entry);
  };
  for (const Modifier& modifier : plan.recipe.modifiers) {
    for (const std::string& pattern : modifier.ignore) {
      const scheme::Target target(pattern);
      std::vector<std::string> members;
      bool everywhere = pattern.starts_with("re:");
      for (const std::string& path : plan.ignored) {
        std::size_t fitting = 0;
        const auto names = plan.spec ? spellings(*plan.spec, path) : std::vector<std::string>{path};
        for (const std::string& name : names)
          fitting += target.match({.names = {name}, .class_name = ""}).has_value();
        if (fitting > 0) members.push_back(path);
        everywhere = everywhere && (fitting == 0 || fitting == names.size());
      }
      if (!everywhere || members.empty()) continue;
      add(pattern);
      covered.insert(members.begin(), members.end());
    }
  }
  for (const std::string& path : plan.ignored) {
    if (covered.contains(path)) continue;
    for (const std::string& name : plan.spec ? spellings(*plan.spec, path) : std::vector<std::string>{path})
      add(name);
  }
}

}  // namespace

void describe_quantization(QuantizePlan& plan) {
  fill_groups(plan);
  fill_ignore(plan);
}

}  // namespace farthing::plan
